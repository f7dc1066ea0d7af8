//! The program itself, as it is shipped, in a folder of its own, with an emulated Labelbox beside it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use trainhook::{
    config::Secret,
    emulator::{Click, Emulator, Options},
};

const SECRET: &str = "a webhook secret for benches alone";
const KEY: &str = "an API key for benches alone";

/// Nothing that is waited for takes longer.
const LIMIT: Duration = Duration::from_secs(180);

/// A server, its Labelbox, and their folder.
pub(crate) struct Server {
    child: Child,
    emulator: Emulator,
    folder: TempDir,
    url: String,
}

/// Time on processors: the server's own, and that of programs which it has called.
#[derive(Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) own: Duration,
    pub(crate) programs: Duration,
}

impl Server {
    /// Starts one with one executor of this kind and table, and one model, `job`, that runs this line of sh.
    pub(crate) async fn start(kind: &str, table: &str, script: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let emulator = Emulator::start(listener, Options::default()).expect("it starts");
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings(&emulator.graphql_url(), kind, table, script);
        for (name, text) in [
            ("secret", SECRET),
            ("key", KEY),
            ("models.toml", &*settings),
        ] {
            fs::write(folder.path().join(name), text).expect("it is writable");
        }
        let child = Command::new(env!("CARGO_BIN_EXE_trainhook"))
            .arg("serve")
            .current_dir(folder.path())
            .env("TRAINHOOK_LOG", "error")
            .stdin(Stdio::null())
            .spawn()
            .expect("it starts");
        let info = folder.path().join("state/server.json");
        let read = || serde_json::from_slice::<Value>(&fs::read(&info).ok()?).ok();
        let info = wait_for("the server", read).await;
        let url = format!("http://{}", info["listen"].as_str().expect("an address"));
        Self {
            child,
            emulator,
            folder,
            url,
        }
    }

    /// Clicks on a fresh run, and answers it once the click is accepted.
    pub(crate) async fn click(&self) -> String {
        let (_, run) = self.emulator.create_model_run(None, "bench");
        let click = Click {
            url: self.url.clone(),
            secret: Secret::new(SECRET),
            model_run_id: run.clone(),
            model_type: Some("job".to_owned()),
        };
        let outcome = self.emulator.click(click).await.expect("it is answered");
        let answer = outcome.model_run.expect("it lists its models");
        assert_eq!(answer.status, 200, "{}", answer.body);
        run
    }

    /// Waits until Labelbox knows that the run is complete.
    pub(crate) async fn complete(&self, run: &str) {
        let told = self.emulator.wait_for(run, LIMIT, |timeline| {
            timeline.iter().any(|entry| entry.status == "COMPLETE")
        });
        told.await.expect("it completes");
    }

    pub(crate) fn jobs(&self) -> PathBuf {
        self.folder.path().join("jobs")
    }

    /// Waits until as many jobs run.
    pub(crate) async fn running(&self, count: u64) {
        let store = self.folder.path().join("state/trainhook.db");
        let is_there = || (running_in(&store)? >= count).then_some(());
        wait_for("running jobs", is_there).await;
    }

    pub(crate) fn spent(&self) -> Spent {
        let stat = Path::new("/proc")
            .join(self.child.id().to_string())
            .join("stat");
        let stat = fs::read_to_string(stat).expect("it runs");
        let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<u64>().expect("a number");
        let time = |field| Duration::from_millis((ticks(field) + ticks(field + 1)) * 10);
        Spent {
            own: time(11),
            programs: time(13),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn running_in(store: &Path) -> Option<u64> {
    let store = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    let sql = "SELECT count(*) FROM jobs WHERE state = 'running'";
    store.query_row(sql, [], |row| row.get(0)).ok()
}

fn settings(endpoint: &str, kind: &str, table: &str, script: &str) -> String {
    let script = Value::from(script);
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n\
         [workspaces.main]\nwebhook_secrets = [{{ file = \"secret\" }}]\napi_key = {{ file = \"key\" }}\n\
         endpoint = \"{endpoint}\"\n\
         [executors.engine]\nkind = \"{kind}\"\nmax_running = 1000\n{table}\
         [models.job]\nexecutor = \"engine\"\ncommand = [\"sh\", \"-c\", {script}]\nexport = false\n\
         predictions = \"none\"\nmax_queued = \"none\"\nmax_starts_per_day = \"none\"\n"
    )
}

/// Looks until there is something.
pub(crate) async fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
