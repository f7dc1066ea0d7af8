//! From a launch to the objects that are asked for: a Job, and a Secret with its variables.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use k8s_openapi::api::{batch::v1::Job, core::v1::Secret};
use serde_json::{Map, Value, json};

use super::{
    fields::{object, understood},
    handle::{LAUNCH_LABEL, SERVER_LABEL},
    settings::{Pod, Settings},
};
use crate::{config::Table, executor::Launch};

/// The label by which Kueue knows the queue of a Job.
pub(super) const QUEUE_LABEL: &str = "kueue.x-k8s.io/queue-name";

/// A Job that everybody has forgotten goes by itself.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a launch becomes.
#[derive(Debug, Clone)]
pub(super) struct Manifests {
    /// Its variables, which may hold secrets; none if there are none.
    pub(super) secret: Option<Secret>,
    pub(super) job: Job,
    /// The folder of the image in which the command runs, where the model's table names one.
    pub(super) workdir: Option<PathBuf>,
}

impl Manifests {
    /// # Errors
    /// Why this launch can never be, for people.
    pub(super) fn new(
        settings: &Settings,
        namespace: Option<&str>,
        launch: &Launch,
    ) -> Result<Self, String> {
        let mut table = Table::of_json(&launch.settings);
        let pod = settings.pod.under(Pod::take_of_model(&mut table));
        if let Some(mistake) = table.finish().first() {
            return Err(format!(
                "the model's table for Kubernetes: {}: {}",
                mistake.key, mistake.text
            ));
        }
        let name = launch.id.to_string();
        let made = Maker {
            settings,
            launch,
            pod: &pod,
        };
        let metadata = |labels: BTreeMap<String, String>| {
            let mut metadata = object(json!({"name": name, "labels": labels}));
            drop(
                namespace
                    .map(|namespace| metadata.insert("namespace".to_owned(), json!(namespace))),
            );
            metadata
        };
        let job = made.job(metadata(made.job_labels()))?;
        let secret = (!launch.env.is_empty()).then(|| made.secret(metadata(made.own_labels())));
        Ok(Self {
            secret: secret.map(understood).transpose()?,
            job: understood(job)?,
            workdir: pod.workdir,
        })
    }
}

impl Manifests {
    /// Both, as `kubectl create -f` takes them. A launch that is shown holds no secrets; the values of its variables are
    /// hidden all the same.
    pub(super) fn shown(&self) -> Result<String, String> {
        let text =
            |shown: Value| serde_json::to_string_pretty(&shown).map_err(|error| error.to_string());
        let job = text(json!(self.job))?;
        let Some(secret) = &self.secret else {
            return Ok(job + "\n");
        };
        let mut secret = secret.clone();
        for value in secret.string_data.iter_mut().flat_map(BTreeMap::values_mut) {
            "[hidden]".clone_into(value);
        }
        Ok(format!("{}\n---\n{job}\n", text(json!(secret))?))
    }
}

/// A launch with all that is said about it.
pub(super) struct Maker<'a> {
    pub(super) settings: &'a Settings,
    pub(super) launch: &'a Launch,
    pub(super) pod: &'a Pod,
}

impl Maker<'_> {
    fn own_labels(&self) -> BTreeMap<String, String> {
        let launch = self.launch;
        let labels = [
            ("app.kubernetes.io/managed-by", "trainhook"),
            (SERVER_LABEL, &launch.server_id),
            (LAUNCH_LABEL, &launch.id.to_string()),
        ];
        let labels = labels.map(|(label, value)| (label.to_owned(), value.to_owned()));
        labels.into()
    }

    fn pod_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.pod.labels.clone();
        labels.extend(self.own_labels());
        labels
    }

    fn job_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.pod_labels();
        labels.extend(
            self.pod
                .queue
                .clone()
                .map(|queue| (QUEUE_LABEL.to_owned(), queue)),
        );
        labels
    }

    fn secret(&self, metadata: Map<String, Value>) -> Value {
        let variables = self.launch.env.iter();
        let data: BTreeMap<&str, &str> = variables
            .map(|(name, value)| (name.as_str(), value.expose()))
            .collect();
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": data})
    }

    fn job(&self, mut metadata: Map<String, Value>) -> Result<Value, String> {
        let annotations = &self.pod.annotations;
        let mut of_pod = object(json!({"labels": self.pod_labels()}));
        if !annotations.is_empty() {
            metadata.insert("annotations".to_owned(), json!(annotations));
            of_pod.insert("annotations".to_owned(), json!(annotations));
        }
        let mut spec = object(json!({
            // An attempt is one pod. Another attempt is ours to begin, under another name.
            "backoffLimit": 0, "completions": 1, "parallelism": 1,
            "ttlSecondsAfterFinished": FORGOTTEN_AFTER.as_secs(),
            "template": {"metadata": of_pod, "spec": self.pod_spec()?},
        }));
        if self.pod.queue.is_some() {
            // Kueue begins it when its turn has come.
            spec.insert("suspend".to_owned(), json!(true));
        }
        Ok(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}))
    }
}
