//! The whole circle: the emulator in this process, the real server as a child process, in a folder of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use trainhook::{
    config::Secret,
    emulator::{Answer, Click, Emulator, Options, TimelineEntry, Timing},
};

use super::{processes, server::ServerProcess};

/// Nothing a test waits for takes longer, also on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// The webhook secret of the stack's workspaces.
pub(crate) const SECRET: &str = "a webhook secret of a good length";

/// The API key that the emulator takes.
pub(crate) const API_KEY: &str = "an API key that nobody else may see";

/// A script that notes its attempt in `runs`, and runs until [`Stack::go`].
pub(crate) const UNTIL_GO: &str =
    "echo $TRAINHOOK_ATTEMPT >> runs; while [ ! -e go ]; do sleep 0.05; done";

/// Emulator, server and their folder.
pub(crate) struct Stack {
    pub(crate) emulator: Emulator,
    pub(crate) server: ServerProcess,
    pub(crate) folder: TempDir,
    program: PathBuf,
}

impl Stack {
    /// Starts a server with these models, one workspace and one local executor of two slots.
    pub(crate) async fn start(models: &str) -> Self {
        let executor = "[executors.local]\nkind = \"local\"\nmax_running = 2\n";
        Self::start_with(&format!("{executor}{models}")).await
    }

    /// Starts a server with these executors and models; `[server]`, `[reporting]` and the workspace are given.
    pub(crate) async fn start_with(rest: &str) -> Self {
        Self::start_whole(|endpoint| {
            format!(
                "{}\n{}\n{rest}",
                settings(),
                workspace("main", "/", endpoint)
            )
        })
        .await
    }

    /// Starts a server with the whole file that `file` makes for the emulator's address.
    pub(crate) async fn start_whole(file: impl FnOnce(&str) -> String) -> Self {
        Self::start_program(Path::new(env!("CARGO_BIN_EXE_trainhook")), file).await
    }

    /// The same, with a program that knows more executors than ours.
    pub(crate) async fn start_program(program: &Path, file: impl FnOnce(&str) -> String) -> Self {
        Self::start_timed(program, Timing::default(), file).await
    }

    /// The same, where things take their time at Labelbox and have their sizes.
    pub(crate) async fn start_timed(
        program: &Path,
        timing: Timing,
        file: impl FnOnce(&str) -> String,
    ) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener
            .set_nonblocking(true)
            .expect("a socket can be non-blocking");
        let listener = tokio::net::TcpListener::from_std(listener).expect("within a runtime");
        let options = Options {
            api_key: Some(Secret::new(API_KEY)),
            timing,
            ..Options::default()
        };
        let emulator = Emulator::start(listener, options).expect("the emulator starts");
        let folder = tempfile::tempdir().expect("a folder for the test");
        fs::write(folder.path().join("secret"), SECRET).expect("the folder is writable");
        fs::write(folder.path().join("key"), API_KEY).expect("the folder is writable");
        fs::write(
            folder.path().join("models.toml"),
            file(&emulator.graphql_url()),
        )
        .expect("the folder is writable");
        let server = ServerProcess::start(program, folder.path()).await;
        Self {
            emulator,
            server,
            folder,
            program: program.to_owned(),
        }
    }

    /// Starts the server again, as after a crash or a stop.
    pub(crate) async fn restart(&mut self) {
        self.server = ServerProcess::start(&self.program, self.folder.path()).await;
    }

    /// Starts the server again, with more arguments.
    pub(crate) async fn restart_with(&mut self, arguments: &[&str]) {
        self.server.end();
        let folder = self.folder.path();
        self.server = ServerProcess::start_with(&self.program, folder, arguments).await;
    }

    /// A fresh model run.
    pub(crate) fn new_run(&self) -> String {
        self.emulator.create_model_run(None, "a run").1
    }

    /// Clicks **Train model** on a run; answers what `POST /model_run` was told.
    pub(crate) async fn click(&self, run: &str, model_type: &str) -> Answer {
        self.click_at("", run, model_type).await
    }

    /// The same, under a workspace's path.
    pub(crate) async fn click_at(&self, path: &str, run: &str, model_type: &str) -> Answer {
        let click = Click {
            url: format!(
                "http://{}{path}",
                self.server.info()["listen"].as_str().expect("an address")
            ),
            secret: Secret::new(SECRET),
            model_run_id: run.to_owned(),
            model_type: Some(model_type.to_owned()),
        };
        let outcome = self
            .emulator
            .click(click)
            .await
            .expect("the server answers");
        outcome.model_run.expect("the server lists models")
    }

    /// Waits until Labelbox was told `status` about a run.
    pub(crate) async fn told(&self, run: &str, status: &str) -> Vec<TimelineEntry> {
        let told = self.emulator.wait_for(run, LIMIT, |timeline| {
            timeline.iter().any(|entry| entry.status == status)
        });
        match told.await {
            Ok(timeline) => timeline,
            Err(error) => panic!("waiting for {status}: {error}\n{}", self.server.log_text()),
        }
    }

    /// Runs a command of the program against the server; answers its standard output.
    pub(crate) fn trainhook(&self, arguments: &[&str]) -> String {
        let output = trainhook_in(self.folder.path(), arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("text")
    }

    /// What `trainhook jobs show --json` says of a job.
    pub(crate) fn job(&self, id: &str) -> Value {
        serde_json::from_str(&self.trainhook(&["jobs", "show", id, "--json"])).expect("JSON")
    }

    /// Clicks, and waits until the job has its place in the queue: the next one comes after it.
    pub(crate) async fn click_in_turn(&self, model_type: &str) -> (String, String) {
        let run = self.new_run();
        let id = job_id(&self.click(&run, model_type).await);
        let is_ready = || (self.job(&id)["job"]["state"] != "accepted").then_some(());
        wait_until("its place in the queue", is_ready).await;
        (run, id)
    }

    /// The lines of a file of the test's folder; none if it is not there.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Lets the commands end that wait for the file `go`.
    pub(crate) fn go(&self) {
        fs::write(self.folder.path().join("go"), "").expect("the folder is writable");
    }

    /// Waits until a file of the test's folder has `count` lines: a command has got that far.
    pub(crate) async fn wait_for_lines(&self, name: &str, count: usize) -> Vec<String> {
        let what = format!("{count} lines in {name}");
        wait_until(&what, || {
            Some(self.lines(name)).filter(|lines| lines.len() >= count)
        })
        .await
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // The server first, so that it starts nothing more.
        self.server.end();
        // Jobs outlive the server by design; those of a test must not outlive the test.
        processes::end_in(self.folder.path());
    }
}

/// `[server]` and `[reporting]` for tests: ports of the kernel's choice, and a short patience.
pub(crate) fn settings() -> String {
    "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n\
     [reporting]\ninterval = \"50ms\"\ntimeout = \"5s\"\nparked_retry = \"500ms\"\nread_back_after = \"1s\"\n"
        .to_owned()
}

/// A workspace with the stack's secret and key.
pub(crate) fn workspace(name: &str, path: &str, endpoint: &str) -> String {
    format!(
        "[workspaces.{name}]\npath = \"{path}\"\nwebhook_secrets = [{{ file = \"secret\" }}]\n\
         api_key = {{ file = \"key\" }}\nendpoint = \"{endpoint}\"\n"
    )
}

/// A model whose command is this line of `sh`, with settings of its own.
pub(crate) fn model(slug: &str, script: &str, settings: &str) -> String {
    let script = serde_json::Value::from(script);
    format!(
        "[models.{slug}]\nexecutor = \"local\"\ncommand = [\"sh\", \"-c\", {script}]\nexport = false\n{settings}\n"
    )
}

/// The statuses that Labelbox was told, each once for every time it was reached.
pub(crate) fn statuses(timeline: &[TimelineEntry]) -> Vec<&str> {
    let mut statuses: Vec<&str> = timeline.iter().map(|entry| entry.status.as_str()).collect();
    statuses.dedup();
    statuses
}

/// The job that a click was answered with.
pub(crate) fn job_id(answer: &Answer) -> String {
    let body: Value = answer.json().expect("a JSON answer");
    body["jobId"].as_str().expect("a job id").to_owned()
}

/// Runs the program in a folder.
pub(crate) fn trainhook_in(folder: &Path, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainhook"));
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

/// Looks every few milliseconds for something that no channel tells, within the limit.
pub(crate) async fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited too long for {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
