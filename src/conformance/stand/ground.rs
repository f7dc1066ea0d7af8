//! What a stand is built on: the tables of the file that is examined, folders, addresses, and settings of its own.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::StandError;
use crate::{
    config::{self, Config, ExecutorEntry, JobsConfig},
    conformance::Subject,
};

pub(super) fn executor_of(subject: &Subject) -> Result<ExecutorEntry, StandError> {
    let entries = &subject.config.executors;
    let entry = entries.iter().find(|entry| entry.name == subject.executor);
    entry.cloned().ok_or_else(|| {
        let known: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let text = format!(
            "there is no [executors.{}]; those that exist: {}",
            subject.executor,
            known.join(", ")
        );
        StandError::Unknown(text)
    })
}

/// What the model of the trial says to this kind of executor.
pub(super) fn tables_of(
    subject: &Subject,
    kind: &str,
) -> Result<BTreeMap<String, Map<String, Value>>, StandError> {
    let models = &subject.config.models;
    let model = match &subject.model {
        None => models
            .iter()
            .find(|model| model.executor == subject.executor),
        Some(slug) => {
            let named = models.iter().find(|model| model.slug == *slug);
            let unknown = || StandError::Unknown(format!("there is no [models.{slug}]"));
            Some(named.ok_or_else(unknown)?)
        }
    };
    let tables = model.and_then(|model| model.kinds.get(kind));
    Ok(tables
        .map(|table| (kind.to_owned(), table.clone()))
        .into_iter()
        .collect())
}

/// Job directories must lie where the engine finds them: below those of the file, under a name that is no job's.
pub(super) fn jobs_dir_in(jobs_dir: &Path) -> PathBuf {
    jobs_dir.join(format!("conformance-{}", Uuid::new_v4().simple()))
}

/// Where supervisors that share no files find the server: at one address, also after a restart. A server that runs may
/// have the one of the file.
pub(super) async fn jobs_listener(config: &Config) -> Result<Option<JobsConfig>, StandError> {
    let Some(mut jobs) = config.server.jobs.clone() else {
        return Ok(None);
    };
    let asked = jobs.listen;
    match TcpListener::bind(asked).await {
        Ok(listener) => jobs.listen = listener.local_addr()?,
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            if !jobs.move_to_free_port() {
                return Err(StandError::Taken(asked));
            }
            jobs.listen = TcpListener::bind(jobs.listen).await?.local_addr()?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Some(jobs))
}

/// A server on ports of the kernel's choice, whose Labelbox is the emulator.
pub(super) fn settings(
    state_dir: &Path,
    endpoint: &str,
    entry: &ExecutorEntry,
) -> Result<Config, StandError> {
    fs::create_dir_all(state_dir)?;
    let key = state_dir.join("key");
    fs::write(&key, Uuid::new_v4().to_string())?;
    let quoted = |text: &str| Value::from(text).to_string();
    let key = quoted(&key.to_string_lossy());
    let (name, kind) = (quoted(&entry.name), quoted(&entry.kind));
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\nstate_dir = \"state\"\njobs_dir = \"jobs\"\n\
         [workspaces.main]\nwebhook_secrets = [{{ file = {key} }}]\napi_key = {{ file = {key} }}\n\
         endpoint = {endpoint}\n[executors.{name}]\nkind = {kind}\n\
         [models.trial]\nexecutor = {name}\ncommand = [\"true\"]\nworkdir = \"/\"\nexport = false\n\
         retry = {{ max = 0 }}\ncancel_grace = \"5s\"\nrun_timeout = \"30m\"\nlog_limit = \"64KiB\"\n",
        endpoint = quoted(endpoint),
    );
    let parsed = config::parse(&text, &state_dir.join("models.toml"));
    let mistakes: Vec<String> = parsed.mistakes.iter().map(ToString::to_string).collect();
    let unsound = || std::io::Error::other(mistakes.join("; ")).into();
    parsed.config.ok_or_else(unsound)
}
