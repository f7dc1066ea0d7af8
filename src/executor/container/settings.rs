//! What `models.toml` says to containers: an executor's table, and a model's.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use bollard::models::ContainerCreateBody;
use serde_json::{Map, Value};

use super::{engine::Engine, mounts::Mount, pull::Registry};
use crate::{
    config::{SecretRef, SendsProgram, Supervisor, Table},
    executor::local::gpus_from,
};

/// torch's loaders pass batches through shared memory, for which engines' own 64 MB is too little.
const SHM_SIZE: u64 = 1_000_000_000;

/// Images of many gigabytes come slowly.
const PULL_TIMEOUT: Duration = Duration::from_secs(3600);

/// Keys of a container that make it an attempt of ours.
const OURS: [&str; 5] = ["Entrypoint", "Cmd", "Labels", "User", "OpenStdin"];

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
        let user = user(table, shares_files);
        let pull_timeout = table.duration("pull_timeout").unwrap_or(PULL_TIMEOUT);
        let gpus = gpus_from(table.value("gpus")).map_err(|text| table.mistake("gpus", text));
        let engine = engine(table);
        let pull = pull(table);
        let supervisor = table.supervisor(Supervisor::Sent, SendsProgram::Yes);
        let program = table.string("program").map(|path| folder.join(path));
        Some(Self {
            registry: registry(table, folder),
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
        match self.shares_files {
            true => self.user,
            false => User::own(),
        }
    }
}

impl Container {
    /// Takes what both tables may hold.
    pub(super) fn take(table: &mut Table, folder: &Path) -> Self {
        Self {
            image: image(table),
            network: table.string("network"),
            shm_size: table.size("shm_size"),
            mounts: mounts(table, folder),
            env: env(table),
            extra: extra(table),
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

/// Puts `more` over `below`: tables are joined, lists appended, all else replaced.
pub(super) fn merge(below: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        match (below.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(value)) => merge(inner, value),
            (Some(Value::Array(list)), Value::Array(mut value)) => list.append(&mut value),
            (_, value) => drop(below.insert(key, value)),
        }
    }
}

fn engine(table: &mut Table) -> Option<Engine> {
    let (socket, host) = (table.string("socket"), table.string("host"));
    let (key, parsed) = match (socket, host) {
        (Some(_), Some(_)) => (
            "socket",
            Err("and host are both given: one is enough".to_owned()),
        ),
        (Some(path), None) => ("socket", Engine::parse(&path)),
        (None, Some(host)) => ("host", Engine::parse(&host)),
        (None, None) => ("host", Engine::of_environment()),
    };
    parsed.map_err(|text| table.mistake(key, text)).ok()
}

fn user(table: &mut Table, shares_files: bool) -> User {
    let own = User::own();
    let Some(text) = table.string("user") else {
        return own;
    };
    let user = text.parse().unwrap_or_else(|()| {
        table.mistake(
            "user",
            "must be numbers, as in \"1000\" or \"1000:100\": names differ between images",
        );
        own
    });
    if shares_files && user != own && own.uid != 0 {
        table.mistake("user", format!("may only be {own} unless the server runs as root: nobody else can hand job directories over"));
    }
    user
}

fn pull(table: &mut Table) -> Pull {
    match table.string("pull").as_deref() {
        Some("never") => Pull::Never,
        None | Some("missing") => Pull::Missing,
        Some("always") => Pull::Always,
        Some(_) => {
            table.mistake("pull", "must be \"never\", \"missing\" or \"always\"");
            Pull::Missing
        }
    }
}

fn registry(table: &mut Table, folder: &Path) -> Option<Registry> {
    let mut inner = table.table("registry")?;
    let server = inner.string("server");
    let username = inner.required_string("username");
    let password = match inner.value("password") {
        Some(toml::Value::Table(secret)) => secret_in(&secret, folder),
        _ => None,
    };
    if password.is_none() {
        inner.mistake(
            "password",
            "must be { env = \"NAME\" } or { file = \"PATH\" }, never the password itself",
        );
    }
    table.adopt(inner);
    Some(Registry {
        server,
        username: username?,
        password: password?,
    })
}

fn secret_in(table: &toml::Table, folder: &Path) -> Option<SecretRef> {
    let text = |key: &str| table.get(key).and_then(toml::Value::as_str);
    match (text("env"), text("file"), table.len()) {
        (Some(name), None, 1) => Some(SecretRef::Env(name.to_owned())),
        (None, Some(path), 1) => Some(SecretRef::File(folder.join(path))),
        _ => None,
    }
}

fn image(table: &mut Table) -> Option<String> {
    let image = table.string("image")?;
    if image.is_empty() || image.contains(char::is_whitespace) {
        table.mistake(
            "image",
            "must name an image, such as \"pytorch/pytorch:2.9.0-cuda12.8-cudnn9-runtime\"",
        );
    }
    Some(image)
}

fn mounts(table: &mut Table, folder: &Path) -> Vec<Mount> {
    let mut mounts = Vec::new();
    for text in table.strings("mounts").unwrap_or_default() {
        match Mount::parse(&text, folder) {
            Ok(mount) => mounts.push(mount),
            Err(why) => table.mistake("mounts", why),
        }
    }
    mounts
}

fn env(table: &mut Table) -> BTreeMap<String, String> {
    let Some(mut inner) = table.table("env") else {
        return BTreeMap::new();
    };
    let names: Vec<String> = inner.keys().map(str::to_owned).collect();
    let env = names.into_iter().filter_map(|name| {
        let value = inner.string(&name)?;
        Some((name, value))
    });
    let env = env.collect();
    table.adopt(inner);
    env
}

/// The engine's own words, for all that has no key here. What its API does not know would be left out silently.
fn extra(table: &mut Table) -> Map<String, Value> {
    let Some(value) = table.value("extra") else {
        return Map::new();
    };
    let Ok(Value::Object(extra)) = serde_json::to_value(value) else {
        table.mistake(
            "extra",
            "must be a table, such as { HostConfig = { IpcMode = \"host\" } }",
        );
        return Map::new();
    };
    if let Some(key) = OURS.iter().find(|key| extra.contains_key(**key)) {
        table.mistake(
            "extra",
            format!("{key} is not to be changed: the container would not be ours any more"),
        );
    } else if let Err(why) = as_body(Value::Object(extra.clone())) {
        table.mistake("extra", why);
    }
    extra
}

/// The body of `POST /containers/create`.
pub(super) fn as_body(value: Value) -> Result<ContainerCreateBody, String> {
    let refused = |error: serde_json::Error| format!("the engine's API does not take it: {error}");
    let body: ContainerCreateBody = serde_json::from_value(value.clone()).map_err(refused)?;
    let understood = serde_json::to_value(&body).map_err(refused)?;
    match lost(&value, &understood) {
        Some(key) => Err(format!("the engine's API has no {key}")),
        None => Ok(body),
    }
}

/// The first key that is not there any more.
fn lost(given: &Value, understood: &Value) -> Option<String> {
    let Value::Object(given) = given else {
        return None;
    };
    given
        .iter()
        .filter(|(_, value)| !value.is_null())
        .find_map(|(key, value)| match understood.get(key) {
            None => Some(key.clone()),
            Some(inner) => lost(value, inner).map(|deeper| format!("{key}.{deeper}")),
        })
}
