//! The program itself, as it is shipped, in a folder of its own.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const SECRET: &str = "a webhook secret for benches alone";

/// A server, and where it listens.
pub(crate) struct Server {
    child: Child,
    pub(crate) folder: TempDir,
    pub(crate) address: String,
    /// From the start of the process to its first line that it listens.
    pub(crate) started_in: Duration,
}

impl Server {
    /// Starts one with a model `job` that runs `command`; it waits for a slot if there is none.
    pub(crate) async fn start(endpoint: &str, command: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).expect("it is writable");
        };
        write("secret", SECRET);
        write("key", "an API key for benches alone");
        write("models.toml", &settings(endpoint, command));
        Self::start_in(folder).await
    }

    /// Starts one again in the folder of another.
    pub(crate) async fn start_in(folder: TempDir) -> Self {
        let begun = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_trainhook"))
            .arg("serve")
            .current_dir(folder.path())
            .env("TRAINHOOK_LOG", "warn,trainhook::cli=info")
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let log = BufReader::new(child.stderr.take().expect("it is piped"));
        let (listening, heard) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut listening = Some(listening);
            for line in log.lines().map_while(Result::ok) {
                if line.contains("listening for Labelbox") {
                    let _told = listening
                        .take()
                        .map(|listening| listening.send(begun.elapsed()));
                }
            }
        });
        let started_in = heard.await.expect("it listens");
        let info = fs::read(folder.path().join("state/server.json")).expect("it says where");
        let info: Value = serde_json::from_slice(&info).expect("JSON");
        let address = info["listen"].as_str().expect("an address").to_owned();
        Self {
            child,
            folder,
            address,
            started_in,
        }
    }

    /// Stops it and gives its folder back.
    pub(crate) fn stop(mut self) -> TempDir {
        let empty = tempfile::tempdir().expect("a folder");
        self.end();
        std::mem::replace(&mut self.folder, empty)
    }

    fn end(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(self.proc("status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.expect("a number") * 1024
    }

    /// Time on a processor so far.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(self.proc("stat")).expect("it runs");
        let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().expect("a number")
            + fields[12].parse::<u64>().expect("a number");
        Duration::from_millis(ticks * 10)
    }

    fn proc(&self, file: &str) -> PathBuf {
        Path::new("/proc")
            .join(self.child.id().to_string())
            .join(file)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Without a command the only slot is taken by nobody: the executor's jobs all wait.
pub(crate) fn settings(endpoint: &str, command: &str) -> String {
    let command = match command {
        "" => "[\"true\"]".to_owned(),
        command => command.to_owned(),
    };
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n\
         [workspaces.main]\nwebhook_secrets = [{{ file = \"secret\" }}]\napi_key = {{ file = \"key\" }}\n\
         endpoint = \"{endpoint}\"\n\
         [executors.local]\nkind = \"local\"\nmax_running = 1\n\
         [models.job]\nexecutor = \"local\"\ncommand = {command}\nexport = false\n\
         max_queued = \"none\"\nmax_starts_per_day = \"none\"\n"
    )
}

/// An address where connections are taken and nothing is ever answered: accepted jobs stay accepted, so
/// that taking clicks is all there is to measure.
pub(crate) fn silent_labelbox() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    std::thread::spawn(move || {
        let _held: Vec<_> = listener.incoming().collect();
    });
    format!("http://{address}/graphql")
}
