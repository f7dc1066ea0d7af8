//! What is started: one attempt, in terms that hold on every engine.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Map, Value};

use crate::{
    config::{ModelEntry, Resources, Secret},
    job::LaunchId,
};

/// One attempt, ready to be started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Its name on the engine, chosen by us.
    pub id: LaunchId,
    /// The server it belongs to, random: what bears another one is not ours to touch.
    pub server_id: String,
    /// The supervisor and its arguments; nothing else is ever run.
    pub argv: Vec<String>,
    /// For the supervisor and the command, on top of the machine's own environment.
    pub env: BTreeMap<String, Secret>,
    /// The attempt's folder, `TRAINHOOK_JOB_DIR`.
    pub attempt_dir: PathBuf,
    /// Where its command runs, as the model's entry has it.
    pub workdir: PathBuf,
    /// What it needs.
    pub resources: Resources,
    /// The devices that are its own.
    pub devices: Vec<u32>,
    /// The supervisor stops a command that runs longer; an engine's own limit must be longer.
    pub run_timeout: Option<Duration>,
    /// Between SIGTERM and SIGKILL, when the supervisor stops the command.
    pub cancel_grace: Duration,
    /// What the model says to this kind of executor, as [`Executor::check_model`](super::Executor::check_model) has
    /// found it right. [`Table::of_json`](crate::config::Table::of_json) reads it.
    pub settings: Map<String, Value>,
}

impl Launch {
    /// The launch of a model's entry on an executor of this kind, with no devices.
    #[must_use]
    pub fn new(
        id: LaunchId,
        (entry, kind): (&ModelEntry, &str),
        program: &Path,
        attempt_dir: PathBuf,
        env: BTreeMap<String, Secret>,
    ) -> Self {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let arguments = ["supervise", "--job-dir"].map(str::to_owned);
        let argv = [text(program)].into_iter().chain(arguments);
        Self {
            id,
            server_id: String::new(),
            argv: argv.chain([text(&attempt_dir)]).collect(),
            env,
            attempt_dir,
            workdir: entry.workdir.clone(),
            resources: entry.resources.clone(),
            devices: Vec::new(),
            run_timeout: entry.run_timeout(),
            cancel_grace: entry.cancel_grace(),
            settings: entry.kinds.get(kind).cloned().unwrap_or_default(),
        }
    }

    /// Its arguments and its variables, whose values are shown.
    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.env {
            let _infallible = writeln!(text, "{name}={}", value.expose());
        }
        text + &self.argv.join(" ") + "\n"
    }
}
