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
    mirror::{MirrorAccess, TOKEN_VARIABLE},
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
    /// For the supervisor and the command, on top of the machine's own environment. With a mirror it holds the token
    /// ([`mirror::TOKEN_VARIABLE`](crate::mirror::TOKEN_VARIABLE)) and none of the model's secrets nor of what
    /// `env_pass` names: those are handed to the winner of the claim.
    pub env: BTreeMap<String, Secret>,
    /// The attempt's folder on the server; `TRAINHOOK_JOB_DIR` where files are shared.
    pub attempt_dir: PathBuf,
    /// Where its command runs, as the model's entry has it.
    pub workdir: PathBuf,
    /// How the supervisor reaches that folder where files are not shared. `argv` and `env` say the same: an executor
    /// needs it only if it brings the token to the supervisor in another way, such as in a file that
    /// `--token-file` names.
    pub mirror: Option<MirrorAccess>,
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
            mirror: None,
            resources: entry.resources.clone(),
            devices: Vec::new(),
            run_timeout: entry.run_timeout(),
            cancel_grace: entry.cancel_grace(),
            settings: entry.kinds.get(kind).cloned().unwrap_or_default(),
        }
    }

    /// The same launch where files are not shared: its supervisor reaches the folder over HTTP.
    #[must_use]
    pub fn mirrored(mut self, access: MirrorAccess) -> Self {
        let (program, launch) = (self.argv.first().cloned(), self.id.to_string());
        let words = ["supervise", "--mirror", &access.url, "--launch", &launch];
        let words = words.map(str::to_owned);
        self.argv = program.into_iter().chain(words).collect();
        let token = access.token.clone();
        self.env.insert(TOKEN_VARIABLE.to_owned(), token);
        self.mirror = Some(access);
        self
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
