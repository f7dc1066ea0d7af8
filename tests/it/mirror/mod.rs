//! Attempts that share no files with the server: everything travels over HTTP.

mod claims;
mod code;
mod outages;
pub(crate) mod proxy;
mod refusals;
mod stranger;
mod telling;
mod training;
mod unheard;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use trainhook::{job::LaunchId, mirror::MirrorKey};

use crate::support::{
    attempts::PROGRAM,
    raw_http::{self, Answer},
    stack::{Stack, UNTIL_GO, job_id, model, settings, wait_until, workspace},
};
use proxy::Proxy;

/// Emulator, server, a machine without the server's files, and the wire in between.
struct Site {
    stack: Stack,
    proxy: Proxy,
}

impl Site {
    /// Models run on the executor `local`, whose attempts have a machine of their own, `node`.
    async fn start(models: &str) -> Self {
        Self::start_with("", models).await
    }

    /// With more settings of `[server]`.
    async fn start_with(server: &str, models: &str) -> Self {
        Self::start_whole(server, "", models).await
    }

    /// With more settings of the executor.
    async fn start_on(executor: &str, models: &str) -> Self {
        Self::start_whole("", executor, models).await
    }

    async fn start_whole(server: &str, more: &str, models: &str) -> Self {
        let proxy = Proxy::start().await;
        let scheme = if server.contains("jobs_tls") {
            "https"
        } else {
            "http"
        };
        let jobs = format!(
            "[server]\njobs_listen = \"127.0.0.1:0\"\njobs_url = \"{scheme}://{}\"\n{server}\n",
            proxy.address
        );
        let settings = settings().replacen("[server]\n", &jobs, 1);
        let executor = "[executors.local]\nkind = \"local\"\nmirror = \"node\"\nmax_running = 2\n";
        let stack = Stack::start_whole(|endpoint| {
            settings + &workspace("main", "/", endpoint) + executor + more + models
        });
        let site = Self {
            stack: stack.await,
            proxy,
        };
        site.connect();
        site
    }

    /// Leads the wire to the server that runs now.
    fn connect(&self) {
        self.proxy.lead_to(Some(self.jobs()));
    }

    /// Where the server listens for supervisors.
    fn jobs(&self) -> SocketAddr {
        let address = self.stack.server.info()["jobs"].as_str().map(str::parse);
        address.expect("an address").expect("an address")
    }

    async fn restart(&mut self) {
        self.stack.restart().await;
        self.connect();
    }

    /// The folder of a job's first attempt on the server.
    fn attempt(&self, id: &str) -> PathBuf {
        self.stack.folder.path().join("jobs").join(id).join("a1")
    }

    fn text(&self, id: &str, name: &str) -> String {
        fs::read_to_string(self.attempt(id).join(name)).unwrap_or_default()
    }

    /// A job whose command runs until [`Stack::go`], and its launch.
    async fn with_running_job(server: &str) -> (Self, String, LaunchId) {
        let site = Self::start_with(server, &model("job", UNTIL_GO, "")).await;
        let run = site.stack.new_run();
        let id = job_id(&site.stack.click(&run, "job").await);
        site.stack.wait_for_lines("runs", 1).await;
        let launch_id = launch(&id, 1);
        (site, run, launch_id)
    }

    /// A job whose supervisor cannot reach the server, and its launch.
    async fn with_unclaimed_job(script: &str) -> (Self, String, LaunchId) {
        let site = Self::start(&model("job", script, "")).await;
        site.proxy.lead_to(None);
        let run = site.stack.new_run();
        let (id, folder) = (
            job_id(&site.stack.click(&run, "job").await),
            site.stack.folder.path(),
        );
        let lock = folder
            .join("node")
            .join(launch(&id, 1).to_string())
            .join("a1/supervisor.lock");
        wait_until("a supervisor", || lock.exists().then_some(())).await;
        (site, run, launch(&id, 1))
    }

    /// The server's key, which makes all tokens.
    fn key(&self) -> MirrorKey {
        MirrorKey::load(&self.stack.folder.path().join("state")).expect("a key")
    }

    /// The token of a launch's claimant.
    fn token(&self, launch_id: LaunchId) -> String {
        self.key().attempt_token(launch_id).expose().to_owned()
    }

    /// Asks the server itself, as a supervisor with that token.
    async fn ask(&self, method: &str, path: &str, token: &str, body: &[u8]) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str())];
        raw_http::ask(self.jobs(), method, path, &headers, Some(body)).await
    }

    /// Starts a supervisor by hand, as an engine would that starts a launch again.
    fn supervisor(&self, launch_id: LaunchId, address: SocketAddr, work_dir: &str) -> Child {
        let token = self.key().claim_token(launch_id);
        let folder = self.stack.folder.path();
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(folder.join("supervisors.log"));
        Command::new(PROGRAM)
            .args(["supervise", "--mirror", &format!("http://{address}")])
            .args(["--launch", &launch_id.to_string()])
            .args([Path::new("--work-dir"), &folder.join(work_dir)])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TRAINHOOK_MIRROR_TOKEN", token.expose())
            .stdin(Stdio::null())
            .stderr(log.expect("the folder is writable"))
            .spawn()
            .expect("a supervisor")
    }

    fn node(&self) -> PathBuf {
        self.stack.folder.path().join("node")
    }

    /// Waits until nothing is left on the machine of the attempts.
    async fn machine_is_clean(&self) {
        let is_clean = || self.left_on_node().is_empty().then_some(());
        let clean = wait_until("a clean machine", is_clean);
        if tokio::time::timeout(std::time::Duration::from_secs(20), clean)
            .await
            .is_err()
        {
            let left = Command::new("find").arg(self.node()).args(["-ls"]).output();
            let left = String::from_utf8_lossy(&left.expect("find is there").stdout).into_owned();
            panic!(
                "left on the machine:\n{left}\n{}",
                self.stack.server.log_text()
            );
        }
    }

    /// What is left on the machine of the attempts.
    fn left_on_node(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.node());
        let entries = entries.into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }
}

fn launch(id: &str, attempt: u32) -> LaunchId {
    LaunchId {
        job: id.parse().expect("a job id"),
        attempt,
    }
}
