//! "Server and clicks by hand": its shells, with free ports in the place of those that it names.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::mpsc,
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

use super::{blocks_of, write_own_model};
use crate::support::{
    skip,
    stack::{LIMIT, trainhook_in, wait_until},
};

const HEADING: &str = "### Server and clicks by hand";

/// Where the emulator listens, in the README.
const EMULATOR: &str = "127.0.0.1:7070";

/// Where a server listens that is told nothing else.
const SERVER: &str = "127.0.0.1:8080";

/// What was typed into a shell and goes on there; ended when it is dropped.
struct Shell(Child);

impl Drop for Shell {
    fn drop(&mut self) {
        let group = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let _gone = group.map(|group| kill_process_group(group, Signal::KILL));
        let _ended = self.0.wait();
    }
}

/// A shell in `folder` that knows `trainhook`.
fn bash(folder: &Path, script: &str) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_trainhook"));
    let mut path: Vec<PathBuf> = vec![program.parent().expect("a folder").to_owned()];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let mut command = Command::new("bash");
    command
        .args(["-euc", script])
        .current_dir(folder)
        .env("PATH", env::join_paths(path).expect("no colon in a folder"))
        .env_remove("LABELBOX_WEBHOOK_SECRET")
        .env_remove("LABELBOX_API_KEY")
        .stdin(Stdio::null())
        .process_group(0);
    command
}

fn run(folder: &Path, script: &str) -> Output {
    bash(folder, script).output().expect("bash is there")
}

/// What it prints before its reports. All of these are read as well: it ends when nobody reads what it says.
fn beginning(output: ChildStdout) -> Vec<String> {
    let (sender, printed) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let _listening = sender.send(line);
        }
    });
    let before_reports = |line: &String| !line.contains("as they come in");
    let lines = std::iter::from_fn(|| printed.recv_timeout(LIMIT).ok());
    lines.take_while(before_reports).collect()
}

/// The emulator of the first shell, and what it has printed of addresses and of a click.
struct FirstShell {
    _shell: Shell,
    address: String,
    run: String,
    click: String,
    new_run: String,
}

impl FirstShell {
    fn open(folder: &Path) -> Self {
        let typed = blocks_of(HEADING, "")[0].replace(EMULATOR, "127.0.0.1:0");
        let mut child = bash(folder, &typed)
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash is there");
        let printed = beginning(child.stdout.take().expect("it is piped"));
        let last_word = |wanted: &str| {
            let line = printed.iter().find(|line| line.contains(wanted));
            let word = line.and_then(|line| line.split_whitespace().last());
            word.expect(wanted).to_owned()
        };
        let endpoint = last_word("endpoint ");
        let address = endpoint
            .strip_prefix("http://")
            .and_then(|rest| rest.strip_suffix("/graphql"));
        let click = printed.iter().skip_while(|line| !line.contains("printf"));
        let click: Vec<&str> = click.take(3).map(String::as_str).collect();
        Self {
            _shell: Shell(child),
            address: address.expect("an address").to_owned(),
            run: last_word("model run "),
            click: click.join("\n"),
            new_run: printed
                .iter()
                .find(|line| line.contains("-X POST"))
                .expect("another run")
                .clone(),
        }
    }
}

impl FirstShell {
    /// Makes another model run, as it has printed, to click on: the same click within seconds is the same click.
    fn make_run(&mut self, folder: &Path) {
        let made = run(folder, &self.new_run);
        let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
        let run = made["modelRunId"].as_str().expect("an id");
        self.click = self.click.replace(&self.run, run);
        run.clone_into(&mut self.run);
    }
}

/// `models.toml` with what the README adds to it, and free ports.
fn write_settings(folder: &Path, emulator: &str) {
    write_own_model(folder);
    let file = folder.join("models.toml");
    let text = fs::read_to_string(&file).expect("it is there");
    let endpoint = blocks_of(HEADING, "toml")[0].replace(EMULATOR, emulator);
    let workspace = "[workspaces.main]\n";
    let text = text.replace(workspace, &format!("{workspace}{endpoint}"));
    let ports = "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n";
    fs::write(file, format!("{ports}{text}")).expect("the folder is writable");
}

/// The server of the second shell; answers where it listens.
async fn second_shell(folder: &Path) -> (Shell, String) {
    let typed = blocks_of(HEADING, "")[1];
    let child = bash(folder, typed).stderr(Stdio::null()).spawn();
    let shell = Shell(child.expect("bash is there"));
    let listening = || {
        let text = fs::read(folder.join("state/server.json")).ok()?;
        let info: Value = serde_json::from_slice(&text).ok()?;
        info["listen"].as_str().map(str::to_owned)
    };
    (shell, wait_until("the server", listening).await)
}

/// Clicks in the third shell; answers the job.
fn third_shell(folder: &Path, first: &FirstShell, server: &str) -> String {
    let secret = blocks_of(HEADING, "")[2];
    let click = first.click.replace(SERVER, server);
    let output = run(folder, &format!("{secret}{click}"));
    let answer: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {click}\n{output:?}"));
    let answer = answer["modelRun"]["body"].as_str().expect("an answer");
    let answer: Value = serde_json::from_str(answer).expect("JSON");
    answer["jobId"].as_str().expect("a job").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_three_shells_lead_to_complete_and_the_fault_to_failed() {
    if Command::new("curl").arg("--version").output().is_err() {
        return skip("the README's clicks by hand: there is no curl");
    }
    let folder: TempDir = tempfile::tempdir().expect("a folder for the test");
    let mut first = FirstShell::open(folder.path());
    write_settings(folder.path(), &first.address);
    let (_server, server) = second_shell(folder.path()).await;

    let job = third_shell(folder.path(), &first, &server);
    let waited = trainhook_in(folder.path(), &["jobs", "wait", &job]);
    assert_eq!(waited.status.code(), Some(0), "{waited:?}");

    let fault = blocks_of(HEADING, "")[3].replace(EMULATOR, &first.address);
    assert!(run(folder.path(), &fault).status.success());
    first.make_run(folder.path());
    let job = third_shell(folder.path(), &first, &server);
    let waited = trainhook_in(folder.path(), &["jobs", "wait", &job]);
    assert_eq!(waited.status.code(), Some(1), "{waited:?}");
    let shown = trainhook_in(folder.path(), &["jobs", "show", &job]);
    let shown = String::from_utf8_lossy(&shown.stdout);
    assert!(
        shown.contains("50 of 500 predictions were refused"),
        "{shown}"
    );
    assert!(shown.contains(&first.run), "{shown}");
}
