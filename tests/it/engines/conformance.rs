//! The conformance kit, on executors that need no engine.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use tokio::{process::Command, time::timeout};

use super::{has, launcher};
use crate::support::stack::{API_KEY, SECRET, model, trainhook_in, workspace};

/// One of the promises, which is tried quickly.
const PROMISE: &str = "exit_1";

/// All promises of one executor, on a busy machine.
const LIMIT: Duration = Duration::from_secs(900);

/// One promise, there.
const PATIENCE: &str = "5m";

/// Would be seen by a command that gets the environment of whoever starts it.
const CANARY: (&str, &str) = ("CANARY_TOKEN", "a token of the server's own");

/// Runs the kit of `program` on the executor `local` of a file with this table, and this for the server.
pub(crate) async fn conformance(program: &Path, server: &str, table: &str) -> Value {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = format!(
        "{server}{}[executors.local]\n{table}\n{}",
        workspace("main", "/", "http://127.0.0.1:1/graphql"),
        model("job", "true", "")
    );
    for (name, text) in [
        ("models.toml", file.as_str()),
        ("secret", SECRET),
        ("key", API_KEY),
    ] {
        fs::write(folder.path().join(name), text).expect("the folder is writable");
    }
    let tried = Command::new(program)
        .args(["conformance", "local", "--json", "--patience", PATIENCE])
        .env(CANARY.0, CANARY.1)
        .current_dir(folder.path())
        .kill_on_drop(true)
        .output();
    let tried = timeout(LIMIT, tried).await.expect("an end");
    let tried = tried.expect("the program starts");
    let report: Option<Value> = serde_json::from_slice(&tried.stdout).ok();
    let errors = String::from_utf8_lossy(&tried.stderr);
    let broken = report.as_ref().map(broken_in);
    assert!(tried.status.success(), "{broken:#?}\n{errors}");
    let left: Vec<_> = fs::read_dir(folder.path().join("jobs"))
        .expect("the jobs' folder")
        .collect();
    assert!(left.is_empty(), "{left:?}");
    report.expect("JSON")
}

/// What was broken, and how, which is all that a reader of a failed test wants.
fn broken_in(report: &Value) -> Vec<String> {
    let promises = report["promises"].as_array().into_iter().flatten();
    let broken = promises.filter(|kept| kept["result"] == "fail");
    broken
        .map(|kept| format!("{}: {}", kept["name"], kept["why"]))
        .collect()
}

/// The promises that came out so.
pub(crate) fn names<'a>(report: &'a Value, result: &str) -> Vec<&'a str> {
    let promises = report["promises"].as_array().expect("a list");
    let so = promises.iter().filter(|kept| kept["result"] == result);
    so.filter_map(|kept| kept["name"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn local_keeps_every_promise() {
    let program = Path::new(env!("CARGO_BIN_EXE_trainhook"));
    let report = conformance(program, "", "kind = \"local\"").await;
    assert_eq!(names(&report, "skip"), ["cancel_queued"], "{report}");
    assert!(names(&report, "pass").len() > 30, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_an_own_executor_keeps_every_promise() {
    let program = Path::new(env!("CARGO_BIN_EXE_trainhook"));
    let example: PathBuf = program.with_file_name("examples").join("custom_executor");
    let report = conformance(&example, "", "kind = \"nice\"").await;
    assert_eq!(names(&report, "skip"), ["cancel_queued"], "{report}");
    assert!(names(&report, "pass").len() > 30, "{report}");
}

async fn launcher_keeps_every_promise(name: &str, programs: &[&str]) {
    if !has(programs) {
        return;
    }
    let program = Path::new(env!("CARGO_BIN_EXE_trainhook"));
    let launcher = launcher(name);
    let table = format!("kind = \"program\"\ncommand = [\"{}\"]", launcher.display());
    let report = conformance(program, "", &table).await;
    assert_eq!(names(&report, "skip"), ["cancel_queued"], "{report}");
    assert!(names(&report, "pass").len() > 30, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_launcher_in_sh_keeps_every_promise() {
    launcher_keeps_every_promise("launcher.sh", &["jq"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_launcher_in_python_keeps_every_promise() {
    launcher_keeps_every_promise("launcher.py", &["python3"]).await;
}

/// Exit code and output of one promise's trial, where `jobs_listen` of the file is taken.
fn with_a_taken_port(jobs_url: impl Fn(std::net::SocketAddr) -> String) -> (Option<i32>, String) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = format!(
        "[server]\njobs_listen = \"{address}\"\njobs_url = \"{}\"\n{}[executors.local]\nkind = \"local\"\n\
         mirror = \"node\"\n{}",
        jobs_url(address),
        workspace("main", "/", "http://127.0.0.1:1/graphql"),
        model("job", "true", "")
    );
    for (name, text) in [
        ("models.toml", file.as_str()),
        ("secret", SECRET),
        ("key", API_KEY),
    ] {
        fs::write(folder.path().join(name), text).expect("the folder is writable");
    }
    let tried = trainhook_in(folder.path(), &["conformance", "local", "--only", PROMISE]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        tried.status.code(),
        text(&tried.stdout) + &text(&tried.stderr),
    )
}

#[test]
fn the_kit_runs_beside_a_server_that_has_its_port() {
    let (code, text) = with_a_taken_port(|address| format!("http://{address}"));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("1 promises kept"), "{text}");
}

#[test]
fn a_taken_port_that_others_are_led_to_is_named_with_what_to_do() {
    let (code, text) = with_a_taken_port(|_| "http://trainhook.example:8082".to_owned());
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("is taken: stop the server"), "{text}");
}
