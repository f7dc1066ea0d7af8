//! What `models.toml` says to Kubernetes: an executor's table, and a model's.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Map, Value, json};

use super::{access::Access, merge::merge, names, table};
use crate::{config::Table, executor::own_variable};

/// What device plugins of NVIDIA offer.
const GPU_RESOURCE: &str = "nvidia.com/gpu";

/// torch's loaders pass batches through shared memory, for which the runtimes' own 64 MB is too little.
const SHM_SIZE: u64 = 1_000_000_000;

/// The cluster is asked no more often, whatever happens, if the table does not say.
const POLL_PAUSE: Duration = Duration::from_secs(2);

/// Where the program lies that an init container has brought.
pub(super) const PROGRAM: &str = "/opt/trainhook/trainhook";

/// `[executors.<name>]` of kind `kubernetes`.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) access: Access,
    pub(super) supervisor: Supervisor,
    /// Whether pods see the job directories at our own paths; else these travel over HTTP.
    pub(super) shares_files: bool,
    /// Where a job directory is made that travels, as the API has it.
    pub(super) work_volume: Map<String, Value>,
    pub(super) pause: Duration,
    /// What holds for every model that does not say otherwise.
    pub(super) pod: Pod,
}

/// How the program that supervises reaches a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Supervisor {
    /// From this image, whose entry point it is.
    Image(String),
    /// It is in the job's image, or on a volume.
    Path(PathBuf),
    /// On a volume, at the server's own path.
    Shared,
}

/// What executors and models may both say.
#[derive(Debug, Clone, Default)]
pub(super) struct Pod {
    pub(super) image: Option<String>,
    pub(super) image_pull_policy: Option<String>,
    pub(super) image_pull_secrets: Vec<String>,
    pub(super) service_account: Option<String>,
    pub(super) node_selector: BTreeMap<String, String>,
    pub(super) tolerations: Vec<Value>,
    pub(super) queue: Option<String>,
    pub(super) priority_class: Option<String>,
    pub(super) runtime_class: Option<String>,
    gpu_resource: Option<String>,
    shm_size: Option<u64>,
    /// Sources by name, as the API has them.
    pub(super) volumes: Map<String, Value>,
    pub(super) mounts: Vec<Value>,
    /// Seen by whoever may read the Job.
    pub(super) env: BTreeMap<String, String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    /// A pod's `spec`, for all that has no key here.
    pub(super) raw: Map<String, Value>,
    /// A folder of the image in which the command runs.
    pub(super) workdir: Option<PathBuf>,
}

impl Settings {
    /// Takes its keys out of the table, and notes what is wrong with them.
    pub(super) fn take(table: &mut Table, folder: &Path) -> Self {
        let kubeconfig = table.string("kubeconfig").map(|path| folder.join(path));
        let access = Access::new(
            kubeconfig,
            table.string("context"),
            table::name(table, "namespace"),
        );
        let shares_files = table.boolean("shared_files").unwrap_or(false);
        let work_volume = table::object(table, "work_volume");
        if shares_files && work_volume.is_some() {
            table.mistake(
                "work_volume",
                "is of use only where files are not shared: leave it out",
            );
        }
        Self {
            access,
            supervisor: table::supervisor(table),
            shares_files,
            work_volume: work_volume.unwrap_or_else(empty_folder),
            pause: table.duration("poll_pause").unwrap_or(POLL_PAUSE),
            pod: Pod::take(table),
        }
    }

    /// Where a pod has the program; none where it lies at the server's own path.
    pub(super) fn program(&self) -> Option<PathBuf> {
        match &self.supervisor {
            Supervisor::Image(_) => Some(PROGRAM.into()),
            Supervisor::Path(path) => Some(path.clone()),
            Supervisor::Shared => None,
        }
    }
}

fn empty_folder() -> Map<String, Value> {
    Map::from_iter([("emptyDir".to_owned(), json!({}))])
}

impl Pod {
    /// Takes what both tables may hold.
    fn take(table: &mut Table) -> Self {
        Self {
            image: table::image(table),
            image_pull_policy: table::pull_policy(table),
            image_pull_secrets: table.strings("image_pull_secrets").unwrap_or_default(),
            service_account: table::name(table, "service_account"),
            node_selector: table::texts(table, "node_selector", names::label),
            tolerations: table::tolerations(table),
            queue: table::name(table, "queue"),
            priority_class: table::name(table, "priority_class"),
            runtime_class: table::name(table, "runtime_class"),
            gpu_resource: table.string("gpu_resource"),
            shm_size: table.size("shm_size"),
            volumes: table::volumes(table),
            mounts: table::mounts(table),
            env: table::texts(table, "env", |name, _| own_variable(name)),
            labels: table::texts(table, "labels", names::label),
            annotations: table::texts(table, "annotations", names::annotation),
            raw: table::raw_pod(table),
            workdir: None,
        }
    }

    /// Takes a model's table.
    pub(super) fn take_of_model(table: &mut Table) -> Self {
        let workdir = table.string("workdir").map(PathBuf::from);
        if workdir.as_ref().is_some_and(|path| !path.is_absolute()) {
            table.mistake("workdir", "must be a path in the image, such as \"/app\"");
        }
        Self {
            workdir,
            ..Self::take(table)
        }
    }

    /// What a model says beats what its executor says; lists and tables of both are joined.
    pub(super) fn under(&self, model: Self) -> Self {
        let mut whole = self.clone();
        whole.image = model.image.or(whole.image);
        whole.image_pull_policy = model.image_pull_policy.or(whole.image_pull_policy);
        whole.image_pull_secrets.extend(model.image_pull_secrets);
        whole.service_account = model.service_account.or(whole.service_account);
        whole.node_selector.extend(model.node_selector);
        whole.tolerations.extend(model.tolerations);
        whole.queue = model.queue.or(whole.queue);
        whole.priority_class = model.priority_class.or(whole.priority_class);
        whole.runtime_class = model.runtime_class.or(whole.runtime_class);
        whole.gpu_resource = model.gpu_resource.or(whole.gpu_resource);
        whole.shm_size = model.shm_size.or(whole.shm_size);
        whole.volumes.extend(model.volumes);
        whole.mounts.extend(model.mounts);
        whole.env.extend(model.env);
        whole.labels.extend(model.labels);
        whole.annotations.extend(model.annotations);
        merge(&mut whole.raw, model.raw);
        whole.workdir = model.workdir;
        whole
    }

    pub(super) fn gpu_resource(&self) -> &str {
        self.gpu_resource.as_deref().unwrap_or(GPU_RESOURCE)
    }

    pub(super) fn shm_size(&self) -> u64 {
        self.shm_size.unwrap_or(SHM_SIZE)
    }
}
