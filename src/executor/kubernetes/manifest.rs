//! From a launch to the objects that are asked for: a Job, and a Secret with its variables.

use std::{collections::BTreeMap, path::Path, time::Duration};

use k8s_openapi::api::{batch::v1::Job, core::v1::Secret};
use serde_json::{Map, Value, json};

use super::{
    handle::{LAUNCH_LABEL, SERVER_LABEL},
    merge::merge,
    settings::{PROGRAM, Pod, Settings, Supervisor},
};
use crate::{config::Table, executor::Launch};

/// The container in which the command runs.
pub(super) const CONTAINER: &str = "training";

/// The init container that brings our program.
pub(super) const BRINGER: &str = "trainhook";

/// Where the volume is mounted on which a job directory is made that travels.
const WORK_VOLUME: &str = "/var/lib/trainhook";

/// The folder on it: the supervisor wants one that is its own, and volumes are everybody's.
const WORK_DIR: &str = "/var/lib/trainhook/jobs";

/// The label by which Kueue knows the queue of a Job.
const QUEUE_LABEL: &str = "kueue.x-k8s.io/queue-name";

/// What the supervisor has beyond the command's own grace before its node kills it: time to end what is left, to write
/// its record, and to bring it to the server.
pub(super) const SUPERVISOR_GRACE: Duration = Duration::from_secs(60);

/// Added to a command's own time: to fetch images and data, and to bring outputs. The supervisor measures the time
/// itself.
const TIME_SLACK: Duration = Duration::from_secs(6 * 3600);

/// A Job that everybody has forgotten goes by itself.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a launch becomes.
#[derive(Debug, Clone)]
pub(super) struct Manifests {
    /// Its variables, which may hold secrets; none if there are none.
    pub(super) secret: Option<Secret>,
    pub(super) job: Job,
    /// The folder of the image in which the command runs, where the model's table names one.
    pub(super) workdir: Option<std::path::PathBuf>,
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
struct Maker<'a> {
    settings: &'a Settings,
    launch: &'a Launch,
    pod: &'a Pod,
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

    fn pod_spec(&self) -> Result<Map<String, Value>, String> {
        let pod = self.pod;
        let grace = self.launch.cancel_grace + SUPERVISOR_GRACE;
        let mut spec = object(json!({
            "terminationGracePeriodSeconds": grace.as_secs(),
            // A training has no business with the cluster, unless an account is named.
            "automountServiceAccountToken": pod.service_account.is_some(),
            "enableServiceLinks": false,
            "containers": [self.container()?],
            "volumes": self.volumes(),
        }));
        let mut say = |key: &str, value: Option<Value>| {
            drop(value.map(|value| spec.insert(key.to_owned(), value)));
        };
        say("initContainers", self.init_containers());
        // The pod's own limit, which its time in queues does not count towards, as it would towards the Job's.
        let deadline = self
            .launch
            .run_timeout
            .map(|time| time + grace + TIME_SLACK);
        say(
            "activeDeadlineSeconds",
            deadline.map(|time| json!(time.as_secs())),
        );
        say(
            "serviceAccountName",
            pod.service_account.as_ref().map(|name| json!(name)),
        );
        say(
            "priorityClassName",
            pod.priority_class.as_ref().map(|name| json!(name)),
        );
        say(
            "runtimeClassName",
            pod.runtime_class.as_ref().map(|name| json!(name)),
        );
        let secrets: Vec<Value> = pod
            .image_pull_secrets
            .iter()
            .map(|name| json!({"name": name}))
            .collect();
        say(
            "imagePullSecrets",
            (!secrets.is_empty()).then(|| json!(secrets)),
        );
        say(
            "nodeSelector",
            (!pod.node_selector.is_empty()).then(|| json!(pod.node_selector)),
        );
        say(
            "tolerations",
            (!pod.tolerations.is_empty()).then(|| json!(pod.tolerations)),
        );
        merge(&mut spec, pod.raw.clone());
        // Last, since it must be as it is whatever the settings say.
        spec.insert("restartPolicy".to_owned(), json!("Never"));
        if self.settings.shares_files && !reaches(&spec, &self.launch.attempt_dir) {
            return Err(format!(
                "shared_files = true, and no volume is mounted over {}: name one in volumes and mounts, at jobs_dir's own path",
                self.launch.attempt_dir.display()
            ));
        }
        Ok(spec)
    }

    /// The image's program copies itself to where the other container finds it.
    fn init_containers(&self) -> Option<Value> {
        let Supervisor::Image(image) = &self.settings.supervisor else {
            return None;
        };
        Some(json!([{
            "name": BRINGER, "image": image, "args": ["copy-program", PROGRAM],
            "volumeMounts": [{"name": "trainhook-program", "mountPath": folder_of_program()}],
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "securityContext": {"allowPrivilegeEscalation": false},
            // Quotas may ask every container for its share; a pod asks for the largest of them.
            "resources": self.resources(),
        }]))
    }

    fn container(&self) -> Result<Value, String> {
        let pod = self.pod;
        let image = pod.image.as_ref().ok_or(
            "no image is named: write image into the executor's table, or into the model's for Kubernetes",
        )?;
        let [program, arguments @ ..] = self.launch.argv.as_slice() else {
            return Err("the launch has no program".to_owned());
        };
        let mut arguments = arguments.to_vec();
        if !self.settings.shares_files {
            arguments.extend(["--work-dir", WORK_DIR].map(str::to_owned));
        }
        let mut container = object(json!({
            "name": CONTAINER, "image": image, "command": [program], "args": arguments,
            "resources": self.resources(), "volumeMounts": self.mounts(),
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "securityContext": {"allowPrivilegeEscalation": false},
        }));
        if let Some(policy) = &pod.image_pull_policy {
            container.insert("imagePullPolicy".to_owned(), json!(policy));
        }
        if !pod.env.is_empty() {
            let env = pod.env.iter();
            let env: Vec<Value> = env
                .map(|(name, value)| json!({"name": name, "value": value}))
                .collect();
            container.insert("env".to_owned(), json!(env));
        }
        if !self.launch.env.is_empty() {
            let secret = self.launch.id.to_string();
            container.insert(
                "envFrom".to_owned(),
                json!([{"secretRef": {"name": secret}}]),
            );
        }
        Ok(Value::Object(container))
    }

    /// Asked for and not exceeded: such pods are the last that a node in need ends.
    fn resources(&self) -> Value {
        let (asked, mut wanted) = (&self.launch.resources, Map::new());
        let mut say = |name: &str, value: Option<String>| {
            drop(value.map(|value| wanted.insert(name.to_owned(), json!(value))));
        };
        say("cpu", asked.cpus.map(|cpus| cpus.to_string()));
        say("memory", asked.memory.map(|bytes| bytes.to_string()));
        let gpus = (asked.gpus > 0).then(|| asked.gpus.to_string());
        say(self.pod.gpu_resource(), gpus);
        match wanted.is_empty() {
            true => json!({}),
            false => json!({"requests": wanted, "limits": wanted}),
        }
    }

    fn volumes(&self) -> Vec<Value> {
        let size = self.pod.shm_size().to_string();
        let mut volumes = vec![volume(
            "trainhook-shm",
            object(json!({"emptyDir": {"medium": "Memory", "sizeLimit": size}})),
        )];
        if matches!(self.settings.supervisor, Supervisor::Image(_)) {
            volumes.push(volume("trainhook-program", object(json!({"emptyDir": {}}))));
        }
        if !self.settings.shares_files {
            volumes.push(volume("trainhook-work", self.settings.work_volume.clone()));
        }
        let own = self.pod.volumes.iter();
        volumes.extend(own.map(|(name, source)| volume(name, object(source.clone()))));
        volumes
    }

    fn mounts(&self) -> Vec<Value> {
        let mut mounts = vec![json!({"name": "trainhook-shm", "mountPath": "/dev/shm"})];
        if matches!(self.settings.supervisor, Supervisor::Image(_)) {
            mounts.push(json!({"name": "trainhook-program", "mountPath": folder_of_program(), "readOnly": true}));
        }
        if !self.settings.shares_files {
            mounts.push(json!({"name": "trainhook-work", "mountPath": WORK_VOLUME}));
        }
        mounts.extend(self.pod.mounts.iter().cloned());
        mounts
    }
}

fn folder_of_program() -> String {
    let folder = Path::new(PROGRAM).parent().unwrap_or(Path::new("/"));
    folder.to_string_lossy().into_owned()
}

fn volume(name: &str, mut source: Map<String, Value>) -> Value {
    source.insert("name".to_owned(), json!(name));
    Value::Object(source)
}

/// Whether a volume is mounted over the folder.
fn reaches(spec: &Map<String, Value>, folder: &Path) -> bool {
    let containers = spec.get("containers").and_then(Value::as_array);
    let ours = containers
        .into_iter()
        .flatten()
        .find(|one| one.get("name") == Some(&json!(CONTAINER)));
    let mounts = ours.and_then(|one| one.get("volumeMounts")?.as_array());
    let mut paths = mounts
        .into_iter()
        .flatten()
        .filter_map(|mount| mount.get("mountPath")?.as_str());
    paths.any(|path| folder.starts_with(path))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// An object as the API understands it; what it has no field for is a mistake of the settings.
fn understood<T: serde::Serialize + serde::de::DeserializeOwned>(
    value: Value,
) -> Result<T, String> {
    let refused =
        |error: serde_json::Error| format!("the Kubernetes API does not take it: {error}");
    let known: T = serde_json::from_value(value.clone()).map_err(refused)?;
    let shown = serde_json::to_value(&known).map_err(refused)?;
    match lost(&value, &shown) {
        Some(field) => Err(format!("the Kubernetes API has no {field}")),
        None => Ok(known),
    }
}

/// The first field that is not there any more.
pub(super) fn lost(given: &Value, understood: &Value) -> Option<String> {
    let deeper = |name: String, given, understood| {
        lost(given, understood).map(|field| format!("{name}.{field}"))
    };
    match (given, understood) {
        (Value::Object(given), Value::Object(understood)) => {
            let mut fields = given.iter().filter(|(_, value)| !is_empty(value));
            fields.find_map(|(key, value)| match understood.get(key) {
                None => Some(key.clone()),
                Some(inner) => deeper(key.clone(), value, inner),
            })
        }
        (Value::Array(given), Value::Array(understood)) => {
            let mut entries = given.iter().zip(understood).enumerate();
            entries.find_map(|(n, (given, understood))| deeper(n.to_string(), given, understood))
        }
        _ => None,
    }
}

/// What need not be said.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}
