//! Attempts in temporary folders, and supervisors of the real program over them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use trainhook::{
    config::Resources,
    job::{JobId, LaunchId, PROTOCOL},
    job_dir::{AttemptDir, ExitRecord, JobDir, Limits, Request},
};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_trainhook");

/// Whatever takes longer has gone wrong.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// An attempt's folder, not yet created, and its request.
pub(crate) struct Attempt {
    pub(crate) root: TempDir,
    pub(crate) request: Request,
}

impl Attempt {
    /// An attempt whose command is `command`, in a folder of its own.
    pub(crate) fn of(command: &[&str]) -> Self {
        let root = TempDir::new().expect("a temporary folder");
        let launch_id = LaunchId {
            job: JobId::new(Timestamp::now()),
            attempt: 1,
        };
        let request = Request {
            data: Default::default(),
            labelbox_config: Default::default(),
            labelbox_config_warning: None,
            protocol: PROTOCOL,
            job_id: launch_id.job,
            launch_id,
            attempt: 1,
            model: "digits".to_owned(),
            model_type: "Digits".to_owned(),
            model_id: Some("model-1".to_owned()),
            model_run_id: "run-1".parse().expect("a model run id"),
            params: serde_json::Map::new(),
            resources: Resources::default(),
            devices: Vec::new(),
            command: command.iter().map(ToString::to_string).collect(),
            workdir: root.path().to_owned(),
            code: Vec::new(),
            limits: Limits {
                run_timeout_ms: None,
                cancel_grace_ms: 30_000,
                log_bytes: 1024 * 1024,
            },
        };
        Self { root, request }
    }

    /// An attempt whose command is a shell script; `$W` is its workdir.
    pub(crate) fn of_script(script: &str) -> Self {
        let script = script.replace('{', "{{").replace('}', "}}");
        Self::of(&["sh", "-c", &format!("W=$PWD; {script}")])
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Request)) -> Self {
        change(&mut self.request);
        self
    }

    pub(crate) fn with_param(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.request.params.insert(name.to_owned(), value.into());
        self
    }

    /// Creates the folder as the server does.
    pub(crate) fn dir(&self) -> AttemptDir {
        let job = JobDir::new(self.root.path(), self.request.job_id);
        job.create(b"{}").expect("a job's folder");
        job.create_attempt(&self.request)
            .expect("an attempt's folder")
    }

    /// A file of the command's workdir.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Runs one supervisor to its end.
    pub(crate) fn run(&self) -> (ExitStatus, ExitRecord) {
        let dir = self.dir();
        let status = finish(start(&dir));
        let record = dir.read_exit().expect("a readable record");
        (status, record.expect("a record"))
    }

    /// Runs one supervisor to its end and answers with the record's reason.
    pub(crate) fn reason(&self) -> Option<String> {
        self.run().1.reason
    }
}

/// A supervisor's command line, with little in its environment.
pub(crate) fn supervisor(dir: &AttemptDir) -> Command {
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.supervisor_log())
        .expect("supervisor.log");
    let mut command = Command::new(PROGRAM);
    command
        .args(["supervise", "--job-dir"])
        .arg(dir.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .stderr(log);
    command
}

/// Starts a supervisor.
pub(crate) fn start(dir: &AttemptDir) -> Child {
    supervisor(dir).spawn().expect("a supervisor")
}

/// Waits for the end of a process of ours.
pub(crate) fn finish(mut child: Child) -> ExitStatus {
    let mut status = None;
    wait_for("the supervisor's end", || {
        status = child.try_wait().expect("a child");
        status.is_some()
    });
    status.expect("a status")
}

/// Waits until `holds`, and fails if it never does.
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT, "waited too long for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The pids that the command wrote into `file`, one a line; waits until there are `count`.
pub(crate) fn pids(file: &Path, count: usize) -> Vec<u32> {
    let read = || {
        let text = fs::read_to_string(file).unwrap_or_default();
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines = complete
            .lines()
            .map(|line| line.trim().parse().expect("a pid"));
        lines.collect::<Vec<u32>>()
    };
    wait_for("the command's pids", || read().len() >= count);
    read()
}

/// Whether a process runs; one that only waits to be reaped does not.
pub(crate) fn lives(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    !matches!(state, Some('Z' | 'X'))
}
