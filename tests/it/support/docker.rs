//! A real Docker Engine: the one that `tests/run` has started, or one of a test's own, which may be killed. And podman,
//! which has Docker's API.

use std::{fs, path::Path, process::Command, sync::Arc};

use tempfile::TempDir;
use trainhook::emulator::Dataset;

use super::{
    skip,
    stack::{Stack, job_id, model, wait_until},
};

/// An image with sh, python3, and what this program needs.
pub(crate) const IMAGE: &str = "localhost/trainhook-test:1";

/// An image with sh alone, and no C library.
pub(crate) const BARE_IMAGE: &str = "localhost/trainhook-bare:1";

/// The variable in which `tests/engines/docker.sh start` says where its engine is.
const VARIABLE: &str = "TRAINHOOK_TEST_DOCKER";

/// The same of `tests/engines/podman.sh`.
const PODMAN_VARIABLE: &str = "TRAINHOOK_TEST_PODMAN";

/// An engine that answers.
pub(crate) struct Docker {
    pub(crate) host: String,
    folder: Option<TempDir>,
}

impl Docker {
    /// The engine of all tests; none where it could not be started, and then `what` is skipped.
    pub(crate) fn shared(what: &str) -> Option<Self> {
        let why = "no Docker Engine was started (tests/engines/docker.sh)";
        Self::given(VARIABLE, &format!("{what}: {why}"))
    }

    /// The podman of all tests; none where it could not be started, and then `what` is skipped.
    pub(crate) fn podman(what: &str) -> Option<Self> {
        let why = "no podman was started (tests/engines/podman.sh)";
        Self::given(PODMAN_VARIABLE, &format!("{what}: {why}"))
    }

    fn given(variable: &str, skipped: &str) -> Option<Self> {
        let host = std::env::var(variable).ok().filter(|host| !host.is_empty());
        if host.is_none() {
            skip(skipped);
        }
        let folder = None;
        host.map(|host| Self { host, folder })
    }

    /// One of the test's own, where one can be started at all; `options` are for the daemon.
    pub(crate) fn own(what: &str, options: &[&str]) -> Option<Self> {
        Self::shared(what)?;
        let folder = tempfile::Builder::new()
            .prefix("docker")
            .tempdir()
            .expect("a folder for the engine");
        let host = format!("unix://{}/docker.sock", folder.path().display());
        let engine = Self {
            host,
            folder: Some(folder),
        };
        engine.start(options);
        Some(engine)
    }

    /// Starts the test's own engine, again after a crash.
    pub(crate) fn start(&self, options: &[&str]) {
        self.script(&[&["start"], options].concat());
    }

    /// Kills it as a crash would; what it runs goes on.
    pub(crate) fn kill(&self) {
        self.script(&["kill"]);
    }

    fn script(&self, arguments: &[&str]) {
        if let Err(why) = self.try_script(arguments) {
            panic!("{arguments:?}: {why}");
        }
    }

    fn try_script(&self, arguments: &[&str]) -> Result<String, String> {
        let folder = self
            .folder
            .as_ref()
            .ok_or("the engine belongs to all tests")?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engines/docker.sh");
        said(
            Command::new(script)
                .args(arguments)
                .env("TRAINHOOK_DOCKER_DIR", folder.path()),
        )
    }

    /// What the engine's own client says.
    pub(crate) fn client(&self, arguments: &[&str]) -> String {
        match self.try_client(arguments) {
            Ok(text) => text,
            Err(why) => panic!("{arguments:?}: {why}"),
        }
    }

    fn try_client(&self, arguments: &[&str]) -> Result<String, String> {
        said(
            Command::new("docker")
                .args(arguments)
                .env("DOCKER_HOST", &self.host),
        )
    }

    /// Ends and removes an attempt's container, if there is one; never panics.
    pub(crate) fn remove(&self, launch: &str) {
        let _gone = self.try_client(&["rm", "--force", launch]);
    }

    /// The names of containers that bear this label.
    pub(crate) fn containers(&self, label: &str) -> Vec<String> {
        let filter = format!("label={label}");
        let names = self.client(&["ps", "--all", "--format", "{{.Names}}", "--filter", &filter]);
        names.lines().map(str::to_owned).collect()
    }

    /// An executor's table, with settings of its own.
    pub(crate) fn executor(&self, settings: &str) -> String {
        format!(
            "[executors.docker]\nkind = \"container\"\nhost = {:?}\nnetwork = \"none\"\nmax_running = 4\n{settings}\n",
            self.host
        )
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let _stopped = self.folder.is_some().then(|| self.try_script(&["stop"]));
    }
}

/// A server whose jobs run in containers.
pub(crate) struct Containers {
    pub(crate) stack: Stack,
    pub(crate) docker: Docker,
}

impl Containers {
    /// One model, `job`, whose command is a line of sh in the tests' image.
    pub(crate) async fn start(docker: Docker, script: &str, settings: &str) -> Self {
        let executor = docker.executor(&format!("image = \"{IMAGE}\"\npull = \"never\""));
        Self::start_with(
            docker,
            &format!("{executor}{}", in_container("job", script, settings)),
        )
        .await
    }

    /// The executors and models are the test's own.
    pub(crate) async fn start_with(docker: Docker, rest: &str) -> Self {
        Self {
            stack: Stack::start_with(rest).await,
            docker,
        }
    }

    /// The whole file is the test's own, made for the emulator's address.
    pub(crate) async fn start_whole(docker: Docker, file: impl FnOnce(&str) -> String) -> Self {
        Self {
            stack: Stack::start_whole(file).await,
            docker,
        }
    }

    /// Clicks on a fresh run; answers run and job.
    pub(crate) async fn click(&self, model: &str) -> (String, String) {
        let run = self.stack.new_run();
        let id = job_id(&self.stack.click(&run, model).await);
        (run, id)
    }

    /// The same, on a run with this data.
    pub(crate) async fn click_with(&self, model: &str, dataset: &Arc<Dataset>) -> (String, String) {
        let run = self.stack.run_with(dataset);
        let id = job_id(&self.stack.click(&run, model).await);
        (run, id)
    }

    /// A file that an attempt's command left, if it is there.
    pub(crate) fn file(&self, id: &str, attempt: u32, name: &str) -> Option<String> {
        let job = self.stack.folder.path().join("jobs").join(id);
        fs::read_to_string(job.join(format!("a{attempt}")).join(name)).ok()
    }

    /// Waits until a command has written a file with a whole line.
    pub(crate) async fn wait_for_file(&self, id: &str, attempt: u32, name: &str) -> String {
        let file = || {
            self.file(id, attempt, name)
                .filter(|text| text.ends_with('\n'))
        };
        wait_until(name, file).await
    }

    /// The launch of a job's attempt, which is its container's name.
    pub(crate) fn launch(id: &str, attempt: u32) -> String {
        format!("th-{}-a{attempt}", id.replace('-', ""))
    }

    /// Waits until the engine has nothing of a job any more.
    pub(crate) async fn wait_until_removed(&self, id: &str, attempt: u32) {
        let label = format!("trainhook.launch={}", Self::launch(id, attempt));
        wait_until("the container's removal", || {
            self.docker.containers(&label).is_empty().then_some(())
        })
        .await;
    }

    fn remove_containers(&self) {
        let attempts = attempts_in(&self.stack.folder.path().join("jobs"));
        for (id, attempt) in attempts {
            self.docker.remove(&Self::launch(&id, attempt));
        }
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        // The server first, so that it starts nothing more.
        self.stack.server.end();
        self.remove_containers();
    }
}

fn said(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn attempts_in(jobs: &Path) -> Vec<(String, u32)> {
    let jobs = fs::read_dir(jobs).into_iter().flatten().flatten();
    let attempts = jobs.flat_map(|job| {
        let id = job.file_name().to_string_lossy().into_owned();
        let parts = fs::read_dir(job.path()).into_iter().flatten().flatten();
        parts.filter_map(move |part| {
            let number = part.file_name().to_str()?.strip_prefix('a')?.parse().ok()?;
            Some((id.clone(), number))
        })
    });
    attempts.collect()
}

/// A model that runs in a container.
pub(crate) fn in_container(slug: &str, script: &str, settings: &str) -> String {
    model(slug, script, settings).replace("executor = \"local\"", "executor = \"docker\"")
}
