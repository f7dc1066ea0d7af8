//! The pod of a launch: what runs in it, with what it asks for and what it sees.

use std::{path::Path, time::Duration};

use serde_json::{Map, Value, json};

use super::{
    fields::{is_blank, object},
    manifest::Maker,
    merge::merge,
    settings::{PROGRAM, Supervisor},
};

/// The container in which the command runs.
pub(super) const CONTAINER: &str = "training";

/// The init container that brings our program.
pub(super) const BRINGER: &str = "trainhook";

/// Where the volume is mounted on which a job directory is made that travels.
const WORK_VOLUME: &str = "/var/lib/trainhook";

/// The folder on it: the supervisor wants one that is its own, and volumes are everybody's.
const WORK_DIR: &str = "/var/lib/trainhook/jobs";

/// What the supervisor has beyond the command's own grace before its node kills it: time to end what is left, to write
/// its record, and to bring it to the server.
pub(super) const SUPERVISOR_GRACE: Duration = Duration::from_secs(60);

/// Added to a command's own time: to fetch images and data, and to bring outputs. The supervisor measures the time
/// itself.
const TIME_SLACK: Duration = Duration::from_secs(6 * 3600);

impl Maker<'_> {
    /// # Errors
    /// Why there can be no such pod, for people.
    pub(super) fn pod_spec(&self) -> Result<Map<String, Value>, String> {
        let mut spec = self.asked();
        spec.insert("containers".to_owned(), json!([self.container()?]));
        spec.insert("volumes".to_owned(), json!(self.volumes()));
        merge(&mut spec, self.pod.raw.clone());
        // Last, since it must be as it is whatever the settings say.
        spec.insert("restartPolicy".to_owned(), json!("Never"));
        if let Some(wrong) = wrong_mount(&spec) {
            return Err(wrong);
        }
        if self.settings.shares_files && !reaches(&spec, &self.launch.attempt_dir) {
            return Err(format!(
                "shared_files = true, and no volume is mounted over {}: name one in volumes and mounts, at jobs_dir's own path",
                self.launch.attempt_dir.display()
            ));
        }
        Ok(spec)
    }

    /// Where and how long it may run; what nobody has said is left out.
    fn asked(&self) -> Map<String, Value> {
        let (pod, launch) = (self.pod, self.launch);
        let grace = launch.cancel_grace + SUPERVISOR_GRACE;
        let deadline = launch.run_timeout.map(|time| time + grace + TIME_SLACK);
        let secrets = pod.image_pull_secrets.iter();
        let secrets: Vec<Value> = secrets.map(|name| json!({"name": name})).collect();
        let asked = object(json!({
            "terminationGracePeriodSeconds": grace.as_secs(),
            // The pod's own limit, towards which its time in queues does not count, as it would towards the Job's.
            "activeDeadlineSeconds": deadline.map(|time| time.as_secs()),
            // A training has no business with the cluster, unless an account is named.
            "automountServiceAccountToken": pod.service_account.is_some(),
            "enableServiceLinks": false,
            "serviceAccountName": pod.service_account,
            "priorityClassName": pod.priority_class,
            "runtimeClassName": pod.runtime_class,
            "imagePullSecrets": secrets,
            "nodeSelector": pod.node_selector,
            "tolerations": pod.tolerations,
            "initContainers": self.init_containers(),
        }));
        asked
            .into_iter()
            .filter(|(_, value)| !is_blank(value))
            .collect()
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
        // Kubernetes would have these win over the Secret's, and what a model says wins over its executor.
        let env = pod
            .env
            .iter()
            .filter(|(name, _)| !self.launch.env.contains_key(*name));
        if env.clone().next().is_some() {
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

/// What the API would refuse: a volume that is not there, or two in one place.
fn wrong_mount(spec: &Map<String, Value>) -> Option<String> {
    let volumes: Vec<&str> = listed(spec.get("volumes"), "name").collect();
    let mounts = training(spec).and_then(|container| container.get("volumeMounts"));
    let missing = listed(mounts, "name").find(|name| !volumes.contains(name));
    if let Some(name) = missing {
        return Some(format!(
            "mounts name a volume {name:?} that volumes do not have"
        ));
    }
    let mut paths: Vec<&str> = listed(mounts, "mountPath").collect();
    paths.sort_unstable();
    let twice = paths.windows(2).find(|pair| pair[0] == pair[1])?;
    Some(format!("two volumes are mounted at {}", twice[0]))
}

fn listed<'a>(list: Option<&'a Value>, key: &'a str) -> impl Iterator<Item = &'a str> {
    let entries = list.and_then(Value::as_array).into_iter().flatten();
    entries.filter_map(move |entry| entry.get(key)?.as_str())
}

fn training(spec: &Map<String, Value>) -> Option<&Value> {
    let mut containers = spec.get("containers")?.as_array()?.iter();
    containers.find(|one| one.get("name") == Some(&json!(CONTAINER)))
}

/// Whether a volume is mounted over the folder.
fn reaches(spec: &Map<String, Value>, folder: &Path) -> bool {
    let mounts = training(spec).and_then(|container| container.get("volumeMounts"));
    listed(mounts, "mountPath").any(|path| folder.starts_with(path))
}
