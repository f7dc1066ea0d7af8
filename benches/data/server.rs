//! The program itself, as it is shipped, in a folder of its own.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use trainhook::{
    config::Secret,
    emulator::{Click, Emulator},
};

const SECRET: &str = "a webhook secret for benches alone";
pub(crate) const KEY: &str = "an API key for benches alone";

/// Nothing that is measured takes longer.
const LIMIT: Duration = Duration::from_secs(600);

/// Ticks of `/proc` in a second, on every Linux there is.
const TICKS: f64 = 100.0;

/// The server's standard error, in its folder.
const LOG: &str = "log";

/// A server, and its folder.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
}

/// A job that has ended, as `trainhook jobs show` tells of it.
pub(crate) struct Job(Value);

impl Server {
    /// Starts one with a model `job` of these settings.
    pub(crate) fn start(endpoint: &str, model: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).expect("it is writable");
        };
        write("secret", SECRET);
        write("key", KEY);
        write("models.toml", &settings(endpoint, model));
        let log = File::create(folder.path().join(LOG)).expect("it is writable");
        let child = Command::new(env!("CARGO_BIN_EXE_trainhook"))
            .args(["serve", "--log-format", "json"])
            .current_dir(folder.path())
            .env("TRAINHOOK_LOG", "warn,trainhook::transfer=info")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("it starts");
        Self { child, folder }
    }

    /// Clicks, and waits until the job has succeeded.
    pub(crate) async fn run_job(&self, emulator: &Emulator, run: &str) -> (String, Job) {
        let click = Click {
            url: self.url().await,
            secret: Secret::new(SECRET),
            model_run_id: run.to_owned(),
            model_type: None,
        };
        let outcome = emulator.click(click).await.expect("it answers");
        let accepted = outcome.model_run.and_then(|answer| answer.json());
        let accepted = accepted.expect("JSON");
        let id = accepted["jobId"].as_str().expect("a job").to_owned();
        let job = Job(self.ended_job(&id).await);
        (id, job)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path().join(LOG)).expect("it is readable")
    }

    /// Processor time that it has taken.
    pub(crate) fn processor_seconds(&self) -> f64 {
        processor_seconds(&self.child.id().to_string())
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where Labelbox reaches it, once it is there.
    async fn url(&self) -> String {
        let info = self.path().join("state/server.json");
        let read = || serde_json::from_slice::<Value>(&fs::read(&info).ok()?).ok();
        let info = wait_for(read).await;
        format!("http://{}/", info["listen"].as_str().expect("an address"))
    }

    /// What `trainhook jobs show` says of a job that has ended.
    async fn ended_job(&self, id: &str) -> Value {
        let show = || {
            let shown = Command::new(env!("CARGO_BIN_EXE_trainhook"))
                .args(["jobs", "show", id, "--json"])
                .current_dir(self.path())
                .output()
                .ok()?;
            let job: Value = serde_json::from_slice(&shown.stdout).ok()?;
            let state = job["job"]["state"].as_str()?.to_owned();
            assert!(state != "failed", "{job}");
            (state == "succeeded").then_some(job)
        };
        wait_for(show).await
    }

    /// The most memory that it ever held, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.expect("a number") * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Job {
    pub(crate) fn seconds_between(&self, from: &str, to: &str) -> f64 {
        let at = |event: &str| {
            let mut entries = self.0["timeline"].as_array().expect("a timeline").iter();
            let at = entries.find(|entry| entry["event"] == event);
            let at = at.and_then(|entry| entry["at"].as_str());
            at.and_then(|at| at.parse::<Timestamp>().ok()).expect(event)
        };
        at(to).duration_since(at(from)).as_secs_f64()
    }
}

/// Processor time that a process has taken, its threads together, without its children.
pub(crate) fn processor_seconds(process: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let (_, fields) = stat.rsplit_once(')').expect("its name stands in brackets");
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / TICKS
}

fn settings(endpoint: &str, model: &str) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n\
         [workspaces.main]\nwebhook_secrets = [{{ file = \"secret\" }}]\napi_key = {{ file = \"key\" }}\n\
         endpoint = \"{endpoint}\"\nrequests_per_minute = 1000000\n\
         [executors.local]\nkind = \"local\"\n\
         [models.job]\nexecutor = \"local\"\n{model}"
    )
}

async fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited too long");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
