//! The program itself, as it is shipped, in a folder of its own.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const SECRET: &str = "a webhook secret for benches alone";
pub(crate) const KEY: &str = "an API key for benches alone";

/// Nothing that is measured takes longer.
const LIMIT: Duration = Duration::from_secs(600);

/// A server, and its folder.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
}

impl Server {
    /// Starts one with a model `job` of this command.
    pub(crate) fn start(endpoint: &str, command: &Value) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).expect("it is writable");
        };
        write("secret", SECRET);
        write("key", KEY);
        write("models.toml", &settings(endpoint, command));
        let child = Command::new(env!("CARGO_BIN_EXE_trainhook"))
            .arg("serve")
            .current_dir(folder.path())
            .env("TRAINHOOK_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()
            .expect("it starts");
        Self { child, folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where Labelbox reaches it, once it is there.
    pub(crate) async fn url(&self) -> String {
        let info = self.path().join("state/server.json");
        let read = || serde_json::from_slice::<Value>(&fs::read(&info).ok()?).ok();
        let info = wait_for(read).await;
        format!("http://{}/", info["listen"].as_str().expect("an address"))
    }

    /// What `trainhook jobs show` says of a job that has ended.
    pub(crate) async fn ended_job(&self, id: &str) -> Value {
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

fn settings(endpoint: &str, command: &Value) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n\
         [workspaces.main]\nwebhook_secrets = [{{ file = \"secret\" }}]\napi_key = {{ file = \"key\" }}\n\
         endpoint = \"{endpoint}\"\nrequests_per_minute = 1000000\n\
         [executors.local]\nkind = \"local\"\n\
         [models.job]\nexecutor = \"local\"\ncommand = {command}\n"
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
