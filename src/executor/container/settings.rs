//! What `models.toml` says to containers: an executor's table, and a model's.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use serde_json::{Map, Value};

use super::{engine::Engine, mounts::Mount, pull::Registry, table};
use crate::{
    config::{SendsProgram, Supervisor, Table},
    executor::{local::gpus_from, merge::merge},
};

/// torch's loaders pass batches through shared memory, for which engines' own 64 MB is too little.
const SHM_SIZE: u64 = 1_000_000_000;

/// Images of many gigabytes come slowly.
const PULL_TIMEOUT: Duration = Duration::from_secs(3600);

/// `[executors.<name>]` of kind `container`.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) engine: Engine,
    /// Whether the engine's machine has the job directories at our own paths; else they travel over HTTP.
    pub(super) shares_files: bool,
    pub(super) user: User,
    pub(super) pull: Pull,
    pub(super) pull_timeout: Duration,
    pub(super) registry: Option<Registry>,
    pub(super) gpus: Vec<u32>,
    pub(super) runtime: Option<String>,
    pub(super) supervisor: Supervisor,
    /// The program that is mounted, if it is not the one that runs.
    pub(super) program: Option<PathBuf>,
    /// What holds for every model that does not say otherwise.
    pub(super) container: Container,
    /// Where relative paths start.
    pub(super) folder: PathBuf,
    pub(super) state_dir: PathBuf,
}

/// What executors and models may both say.
#[derive(Debug, Clone, Default)]
pub(super) struct Container {
    pub(super) image: Option<String>,
    pub(super) network: Option<String>,
    pub(super) shm_size: Option<u64>,
    pub(super) mounts: Vec<Mount>,
    /// For the engine and what it calls; seen by whoever may inspect the container.
    pub(super) env: BTreeMap<String, String>,
    pub(super) extra: Map<String, Value>,
    /// A folder of the image; the model's own workdir is mounted otherwise.
    pub(super) workdir: Option<PathBuf>,
}

/// When images are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pull {
    Never,
    Missing,
    Always,
}

/// Who runs in the container, in numbers, which need no image to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Settings {
    /// Takes its keys out of the table, and notes what is wrong with them.
    pub(super) fn take(table: &mut Table, folder: &Path, state_dir: &Path) -> Option<Self> {
        let shares_files = table.boolean("shared_files").unwrap_or(true);
        let user = table::user(table, shares_files);
        let pull_timeout = table.duration("pull_timeout").unwrap_or(PULL_TIMEOUT);
        let gpus = gpus_from(table.value("gpus")).map_err(|text| table.mistake("gpus", text));
        let engine = table::engine(table, folder);
        let pull = table::pull(table);
        let supervisor = table.supervisor(Supervisor::Sent, SendsProgram::Yes);
        let program = table.string("program").map(|path| folder.join(path));
        Some(Self {
            registry: table::registry(table, folder),
            runtime: table.string("runtime"),
            container: Container::take(table, folder),
            shares_files,
            engine: engine?,
            user,
            pull,
            pull_timeout,
            gpus: gpus.ok()?,
            supervisor,
            program,
            folder: folder.to_owned(),
            state_dir: state_dir.to_owned(),
        })
    }
}

impl Settings {
    /// Whether a lock in a job directory that is free says that nobody runs: its containers run under our own kernel.
    pub(super) fn locks_hold(&self) -> bool {
        self.shares_files && self.engine.is_of_this_machine()
    }

    /// To whom the files of a job belong while it runs.
    pub(super) fn handed_to(&self) -> User {
        match self.shares_files && User::own().uid == 0 {
            true => self.user,
            false => User::own(),
        }
    }
}

impl Container {
    /// Takes what both tables may hold.
    pub(super) fn take(table: &mut Table, folder: &Path) -> Self {
        Self {
            image: table::image(table),
            network: table.string("network"),
            shm_size: table.size("shm_size"),
            mounts: table::mounts(table, folder),
            env: table::env(table),
            extra: table::extra(table),
            workdir: None,
        }
    }

    /// Takes a model's table.
    pub(super) fn take_of_model(table: &mut Table, folder: &Path) -> Self {
        let workdir = table.string("workdir").map(PathBuf::from);
        if workdir
            .as_ref()
            .is_some_and(|workdir| !workdir.is_absolute())
        {
            table.mistake("workdir", "must be a path in the image, such as \"/app\"");
        }
        Self {
            workdir,
            ..Self::take(table, folder)
        }
    }

    /// What a model says beats what its executor says; lists and tables of both are joined.
    pub(super) fn under(&self, model: Self) -> Self {
        let mut whole = self.clone();
        whole.image = model.image.or(whole.image);
        whole.network = model.network.or(whole.network);
        whole.shm_size = model.shm_size.or(whole.shm_size);
        whole.workdir = model.workdir;
        whole.mounts.extend(model.mounts);
        whole.env.extend(model.env);
        merge(&mut whole.extra, model.extra);
        whole
    }

    pub(super) fn shm_size(&self) -> u64 {
        self.shm_size.unwrap_or(SHM_SIZE)
    }
}

impl User {
    /// Ourselves.
    pub(super) fn own() -> Self {
        Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

impl FromStr for User {
    type Err = ();

    /// `1000`, `1000:100`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (uid, gid) = text.split_once(':').unwrap_or((text, text));
        Ok(Self {
            uid: uid.parse().map_err(drop)?,
            gid: gid.parse().map_err(drop)?,
        })
    }
}
