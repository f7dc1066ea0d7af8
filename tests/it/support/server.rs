//! The server as a child process.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tokio::sync::watch;

use super::stack::{LIMIT, wait_until};

/// A server as a child process. Killed when it is dropped; its jobs are ended by [`Stack`].
pub(crate) struct ServerProcess {
    pub(crate) child: Child,
    log: watch::Receiver<Vec<String>>,
    state_dir: PathBuf,
}

impl ServerProcess {
    /// Starts `trainhook serve` in `folder` and waits until it listens.
    pub(crate) async fn start(program: &Path, folder: &Path) -> Self {
        Self::start_with(program, folder, &[]).await
    }

    /// The same, with more arguments.
    pub(crate) async fn start_with(program: &Path, folder: &Path, arguments: &[&str]) -> Self {
        let started = Self::spawn(program, folder, arguments).listening().await;
        started.unwrap_or_else(|why| panic!("the server did not start: {why}"))
    }

    /// The same for a server that may die on its way; answers what it said then.
    pub(crate) async fn try_start(program: &Path, folder: &Path) -> Result<Self, String> {
        Self::spawn(program, folder, &[]).listening().await
    }

    async fn listening(mut self) -> Result<Self, String> {
        let mut log = self.log.clone();
        let is_listening = |line: &String| line.contains("listening for Labelbox");
        let listening = log.wait_for(|lines| lines.iter().any(is_listening));
        match tokio::time::timeout(LIMIT, listening).await {
            Ok(Ok(_)) => Ok(self),
            _ => Err(format!("{:?}\n{}", self.child.try_wait(), self.log_text())),
        }
    }

    fn spawn(program: &Path, folder: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .arg("serve")
            .args(arguments)
            .current_dir(folder)
            .env("TRAINHOOK_LOG", "debug")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let errors = child.stderr.take().expect("stderr is piped");
        let (lines, log) = watch::channel(Vec::new());
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                lines.send_modify(|lines| lines.push(line));
            }
        });
        Self {
            child,
            log,
            state_dir: folder.join("state"),
        }
    }

    /// The server's own words about where it listens.
    pub(crate) fn info(&self) -> Value {
        let text = fs::read(self.state_dir.join("server.json"))
            .expect("a running server says where it listens");
        serde_json::from_slice(&text).expect("JSON")
    }

    /// Ends it, if it still runs.
    pub(crate) fn end(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(&mut self) -> std::process::ExitStatus {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .expect("kill is there")
                .success()
        );
        wait_until("the server's end", || {
            self.child.try_wait().expect("it is our child")
        })
        .await
    }

    /// Waits for a line of its log.
    pub(crate) async fn logged(&self, text: &str) {
        let mut log = self.log.clone();
        let logged = log.wait_for(|lines| lines.iter().any(|line| line.contains(text)));
        let found = tokio::time::timeout(LIMIT, logged).await;
        assert!(
            matches!(found, Ok(Ok(_))),
            "not logged: {text}\n{}",
            self.log_text()
        );
    }

    /// Everything it has logged.
    pub(crate) fn log_text(&self) -> String {
        self.log
            .borrow()
            .iter()
            .fold(String::new(), |mut text, line| {
                let _infallible = writeln!(text, "{line}");
                text
            })
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.end();
    }
}
