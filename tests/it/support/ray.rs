//! A real Ray: the one that `tests/run` has started. One test at a time, since some of them crash it.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use super::{
    skip,
    stack::{Stack, settings, wait_until, workspace},
};

static TURN: Mutex<()> = Mutex::const_new(());

/// The variable in which `tests/engines/ray.sh start` says where the Jobs API is.
const VARIABLE: &str = "TRAINHOOK_TEST_RAY";

/// Ray answers within this, or it is not there.
const PATIENCE: Duration = Duration::from_secs(20);

/// A cluster that runs and has no jobs, for as long as it is this test's turn.
pub(crate) struct Ray {
    pub(crate) address: String,
    client: Client,
    /// Where nodes keep what their jobs work on.
    node: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Ray {
    /// The cluster of this run of the tests; none where it could not be started, and then `what` is skipped.
    pub(crate) async fn shared(what: &str) -> Option<Self> {
        let address = std::env::var(VARIABLE)
            .ok()
            .filter(|address| !address.is_empty());
        let Some(address) = address else {
            skip(&format!(
                "{what}: no Ray was started (tests/engines/ray.sh)"
            ));
            return None;
        };
        let client = trainhook::outbound::client_builder().timeout(PATIENCE);
        let ray = Self {
            address,
            client: client.build().expect("a client"),
            node: tempfile::tempdir().expect("a folder for the nodes"),
            _turn: TURN.lock().await,
        };
        if ray.ask(Method::GET, "jobs/", None).await.is_none() {
            // A test before has failed while Ray was down.
            ray.script(&["start"], &[]);
        }
        ray.clear().await;
        Some(ray)
    }

    /// Ends and forgets whatever a failed test has left.
    async fn clear(&self) {
        for _ in 0..200 {
            let jobs = self.jobs().await;
            if jobs.is_empty() {
                return;
            }
            for id in jobs {
                self.stop(&id).await;
                self.ask(Method::DELETE, &format!("jobs/{id}"), None).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // Some wait for what will never be.
        self.script(&["start"], &[]);
    }

    /// One question; none if it was refused.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Option<Value> {
        let url = format!("{}/api/{path}", self.address);
        let request = self.client.request(method, url);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.ok()?;
        match answer.status().is_success() {
            true => answer.json().await.ok(),
            false => None,
        }
    }

    /// The whole list, as everybody may see it.
    pub(crate) async fn list(&self) -> Value {
        let list = self.ask(Method::GET, "jobs/", None).await;
        list.expect("Ray answers")
    }

    /// The names of all jobs that it remembers, but for those that its monitor has made of deleted ones.
    pub(crate) async fn jobs(&self) -> Vec<String> {
        let list = self.list().await;
        let jobs = list.as_array().expect("a list").iter();
        let jobs = jobs.filter(|job| job["entrypoint"] != "Entrypoint not found.");
        let names = jobs.filter_map(|job| job["submission_id"].as_str());
        names.map(str::to_owned).collect()
    }

    /// Waits until it remembers so many jobs.
    pub(crate) async fn wait_for_jobs(&self, count: usize) -> Vec<String> {
        for _ in 0..1500 {
            let jobs = self.jobs().await;
            if jobs.len() == count {
                return jobs;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{count} jobs in Ray: {:#}", self.list().await);
    }

    /// Stops a job as a person would.
    pub(crate) async fn stop(&self, id: &str) {
        self.ask(Method::POST, &format!("jobs/{id}/stop"), None)
            .await;
    }

    /// Takes all GPUs until it is stopped by its name, which no other test gives: Ray mourns for a while for who had it before.
    pub(crate) async fn take_gpus(&self, name: &str) {
        let body =
            json!({"entrypoint": "sleep 600", "submission_id": name, "entrypoint_num_gpus": 2});
        let taken = self.ask(Method::POST, "jobs/", Some(body)).await;
        assert!(taken.is_some());
        for _ in 0..300 {
            let job = self.ask(Method::GET, &format!("jobs/{name}"), None).await;
            if job.is_some_and(|job| job["status"] == "RUNNING") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("nobody can take the GPUs: {}", self.list().await);
    }

    /// Runs the script that starts and stops it.
    pub(crate) fn script(&self, arguments: &[&str], env: &[(&str, &str)]) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engines/ray.sh");
        let done = Command::new(script)
            .args(arguments)
            .envs(env.iter().copied())
            .status();
        assert!(done.expect("bash is there").success(), "{arguments:?}");
    }

    /// An executor's table, without its head.
    pub(crate) fn table(&self, more: &str) -> String {
        self.table_at(&self.address, more)
    }

    /// The same for whoever stands between.
    pub(crate) fn table_at(&self, address: &str, more: &str) -> String {
        format!(
            "kind = \"ray\"\naddress = \"{address}\"\npoll_interval = \"200ms\"\npoll_pause = \"200ms\"\nmax_running = 4\n\
             {more}\n"
        )
    }

    /// A server whose jobs run on nodes that share nothing with it, but have this program.
    pub(crate) async fn stack(&self, more: &str, models: &str) -> Stack {
        self.stack_at(&self.address, &format!("{}{more}", in_place()), models)
            .await
    }

    /// The same by way of whoever stands between, with another way for the program.
    pub(crate) async fn stack_at(&self, address: &str, more: &str, models: &str) -> Stack {
        let work_dir = format!("work_dir = \"{}\"\n", self.node.path().display());
        let table = self.table_at(address, &(work_dir + more));
        let port = free_port();
        Stack::start_whole(|endpoint| {
            let listening = format!("[server]\njobs_listen = \"127.0.0.1:{port}\"\n");
            let settings = settings().replace("[server]\n", &listening);
            let workspace = workspace("main", "/", endpoint);
            format!("{settings}{workspace}[executors.local]\n{table}{models}")
        })
        .await
    }
}

/// A port that a server can have again after its restart: supervisors know no other.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a bound address").port()
}

/// The program is where it is.
pub(crate) fn in_place() -> String {
    let program = env!("CARGO_BIN_EXE_trainhook");
    format!("supervisor = \"path:{program}\"\n")
}

/// The processes that stand for jobs in Ray.
pub(crate) fn actors() -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_actor = |path: &PathBuf| {
        let arguments = std::fs::read(path.join("cmdline")).unwrap_or_default();
        arguments.starts_with(b"ray::JobSupervisor")
    };
    let paths = processes.map(|process| process.path()).filter(is_actor);
    paths
        .filter_map(|path| path.file_name()?.to_str()?.parse().ok())
        .collect()
}

/// Waits until a job has reached a state.
pub(crate) async fn wait_for_state(stack: &Stack, id: &str, wanted: &str) {
    let what = format!("the state {wanted}");
    wait_until(&what, || {
        (stack.job(id)["job"]["state"] == wanted).then_some(())
    })
    .await;
}
