//! Slurm's words, understood: its commands are played by scripts, so this needs no Slurm.

mod looks;
mod stops;
mod submits;

use std::{fs, path::Path, sync::Arc};

use serde_json::json;
use tempfile::TempDir;
use trainhook::{
    executor::{Executor, SubmitError},
    job::{Handle, Phase},
};

use crate::{
    engines::{build, launch},
    support::script::write_program,
};

/// Slurm's commands as scripts in a folder.
struct Played {
    folder: TempDir,
    executor: Arc<dyn Executor>,
}

impl Played {
    fn new() -> Self {
        Self::with("")
    }

    fn with(table: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let executor = build("slurm", folder.path(), &format!("bin = \".\"\n{table}"));
        let played = Self { folder, executor };
        played.plays("squeue", "");
        played.plays(
            "sacct",
            "echo 'Slurm accounting storage is disabled' >&2; exit 1",
        );
        played.plays("scancel", "");
        played
    }

    /// From now on the command is this line of sh; it notes its arguments in a file.
    fn plays(&self, command: &str, script: &str) {
        let folder = self.folder.path();
        let noted = folder.join(format!("{command}.arguments"));
        let lines = format!("echo \"$*\" >> {}\n{script}\n", noted.display());
        write_program(folder, command, &lines);
    }

    fn arguments(&self, command: &str) -> String {
        let noted = self.folder.path().join(format!("{command}.arguments"));
        fs::read_to_string(noted).unwrap_or_default()
    }

    /// `squeue` says this of the launch.
    fn queue(&self, state: &str, partition: &str, reason: &str) {
        let (name, user) = (launch(Path::new("/")).id, user());
        self.plays(
            "squeue",
            &format!("echo '7/{name}/{user}/{state}/{partition}/{reason}'"),
        );
    }

    /// `sacct` says this of the launch.
    fn accounting(&self, state: &str) {
        let (name, user) = (launch(Path::new("/")).id, user());
        self.plays("sacct", &format!("echo '7|{name}|{user}|{state}|main'"));
    }

    async fn look(&self) -> Result<(Phase, Option<String>), String> {
        let mut seen = self.executor.observe(&[handle()]).await;
        let seen = seen.pop().expect("one answer");
        seen.map(|seen| (seen.phase, seen.reason))
            .map_err(|error| error.to_string())
    }

    async fn submit(&self) -> Result<Handle, SubmitError> {
        self.executor.submit(&launch(self.folder.path())).await
    }
}

fn user() -> u32 {
    rustix::process::getuid().as_raw()
}

fn handle() -> Handle {
    Handle {
        launch_id: launch(Path::new("/")).id,
        version: 1,
        data: json!({ "job_id": "7", "submitted_at": "2026-11-23T10:00:00Z" }),
        place: None,
    }
}
