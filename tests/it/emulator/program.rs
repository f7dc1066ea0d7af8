//! `trainhook emulate` and `trainhook send`, as people start them.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use super::{LIMIT, Server, client, update};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainhook"));
    command.kill_on_drop(true).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).env("SECRET", "test_secret");
    command
}

fn start(arguments: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let child = program().arg("emulate").args(arguments).spawn();
    let mut child = child.expect("the program starts");
    let stdout = child.stdout.take().expect("a pipe");
    (child, BufReader::new(stdout).lines())
}

async fn line_with(lines: &mut Lines<BufReader<ChildStdout>>, wanted: &str) -> String {
    let search = async {
        loop {
            let line = lines.next_line().await.expect("text");
            let line = line.expect("a line before the end");
            if line.contains(wanted) {
                return line;
            }
        }
    };
    let found = timeout(LIMIT, search).await;
    found.unwrap_or_else(|_| panic!("no line with {wanted}"))
}

async fn send(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = program().arg("send").args(arguments).output();
    let output = timeout(LIMIT, output)
        .await
        .expect("an end")
        .expect("a start");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test]
async fn emulate_prints_a_line_of_json_and_ends_on_sigterm() {
    let (mut child, mut lines) = start(&["--json"]);
    let ready: Value = serde_json::from_str(&line_with(&mut lines, "{").await).expect("JSON");
    let run = ready["modelRunId"].as_str().expect("an id");
    let url = format!(
        "{}/model-runs/{run}",
        ready["control"].as_str().expect("an address")
    );
    let shown = client().get(url).send().await.expect("an answer");
    let shown: Value = shown.json().await.expect("JSON");
    assert_eq!(shown["modelId"], ready["modelId"]);

    let id = i32::try_from(child.id().expect("it runs")).expect("a process id");
    let pid = rustix::process::Pid::from_raw(id).expect("a process id");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
    let status = timeout(LIMIT, child.wait()).await.expect("an end");
    assert_eq!(status.expect("a status").code(), Some(0));
}

#[tokio::test]
async fn emulate_shows_each_report_to_people() {
    let (_child, mut lines) = start(&[]);
    let graphql = line_with(&mut lines, "endpoint ").await;
    let graphql = graphql.split_whitespace().last().expect("an address");
    let run = line_with(&mut lines, "model run ").await;
    let run = run.split_whitespace().last().expect("an id");
    let setting = line_with(&mut lines, "endpoint = ").await;
    assert_eq!(setting.trim(), format!("endpoint = \"{graphql}\""));
    line_with(&mut lines, "as they come in").await;
    let data = json!({ "status": "FAILED", "errorMessage": "\u{1b}[2J" });
    let url = graphql.replace("/graphql", "/_gql");
    let report = client().post(url).bearer_auth("k").json(&update(run, data));
    report.send().await.expect("an answer");
    let line = line_with(&mut lines, "FAILED").await;
    assert!(line.contains(run), "{line}");
    assert!(!line.contains('\u{1b}'), "the terminal is steered: {line}");
}

#[tokio::test]
async fn emulate_refuses_a_taken_address() {
    let (_child, mut lines) = start(&["--json"]);
    let ready: Value = serde_json::from_str(&line_with(&mut lines, "{").await).expect("JSON");
    let taken = ready["graphql"].as_str().expect("an address");
    let taken = taken
        .trim_start_matches("http://")
        .trim_end_matches("/graphql");
    let second = program().args(["emulate", "--listen", taken]).output();
    let second = timeout(LIMIT, second)
        .await
        .expect("an end")
        .expect("a start");
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains(taken));
}

#[tokio::test]
async fn send_shows_the_models_of_a_server() {
    let mut server = Server::start().await;
    let place = ["--url", &server.base, "--secret-env", "SECRET"];
    let (code, out, _) = send(&[&["models"], &place[..]].concat()).await;
    assert_eq!(code, Some(0));
    assert_eq!(out, "200\n{\n  \"zebra \u{e9}\": {},\n  \"ant\": {}\n}\n");
    let known = "sha1=b33b3b73cc2715209467aca3e7d3453b7256e9ca";
    assert_eq!(server.next().2.as_deref(), Some(known));
}

#[tokio::test]
async fn send_asks_for_a_training_with_a_secret_from_a_file() {
    let mut server = Server::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    std::fs::write(&file, "test_secret\n").expect("a file");
    let file = file.to_str().expect("a path in UTF-8");
    let place = ["--url", &server.base, "--secret-file", file, "--json"];
    let what = [
        "model-run",
        "--model-type",
        "t",
        "--model-run",
        "r",
        "--model-id",
        "m",
    ];
    let (code, out, _) = send(&[&what[..], &place[..]].concat()).await;
    assert_eq!(code, Some(0));
    let wanted = json!({ "status": 201, "body": { "jobId": "1" } });
    assert_eq!(serde_json::from_str::<Value>(&out).expect("JSON"), wanted);
    let wanted = r#"{"modelId":"m","modelRunId":"r","modelType":"t"}"#;
    assert_eq!(server.next().4, wanted.as_bytes());
}

#[tokio::test]
async fn send_fails_when_it_is_refused_or_has_no_answer_or_no_secret() {
    let refusing = Server::start_with(reqwest::StatusCode::UNAUTHORIZED).await;
    let place = ["models", "--secret-env", "SECRET", "--url"];
    let (code, out, _) = send(&[&place[..], &[&refusing.base]].concat()).await;
    assert_eq!((code, out.starts_with("401\n")), (Some(1), true), "{out}");
    let (code, _, error) = send(&[&place[..], &["http://127.0.0.1:1"]].concat()).await;
    assert_eq!(
        (code, error.contains("refused")),
        (Some(1), true),
        "{error}"
    );
    let unset = [
        "models",
        "--url",
        &refusing.base,
        "--secret-env",
        "TRAINHOOK_UNSET",
    ];
    let (code, _, error) = send(&unset).await;
    assert_eq!(
        (code, error.contains("TRAINHOOK_UNSET")),
        (Some(1), true),
        "{error}"
    );
    let (code, _, error) = send(&["models", "--url", &refusing.base]).await;
    assert_eq!(
        (code, error.contains("--secret-env")),
        (Some(2), true),
        "{error}"
    );
}

#[tokio::test]
async fn send_finds_the_secret_by_way_of_models_toml() {
    let mut server = Server::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("models.toml");
    let config = r#"
        [workspaces.first]
        path = "/first"
        webhook_secrets = [{ env = "SECRET" }, { env = "OLD" }]
        api_key = { env = "KEY" }
        [workspaces.second]
        path = "/second"
        webhook_secrets = [{ file = "secret" }]
        api_key = { env = "KEY" }
        [executors.local]
        kind = "local"
        max_running = 1
        [models.digits]
        executor = "local"
        command = ["true"]
    "#;
    std::fs::write(&file, config).expect("a file");
    std::fs::write(folder.path().join("secret"), "test_secret").expect("a file");
    let file = file.to_str().expect("a path in UTF-8");
    let base = server.base.clone();
    let place = ["models", "--url", &base, "--config", file];
    for workspace in ["first", "second"] {
        let (code, ..) = send(&[&place[..], &["--workspace", workspace]].concat()).await;
        assert_eq!(code, Some(0), "{workspace}");
        let known = "sha1=b33b3b73cc2715209467aca3e7d3453b7256e9ca";
        assert_eq!(server.next().2.as_deref(), Some(known), "{workspace}");
    }
    let (code, _, error) = send(&place).await;
    assert_eq!(
        (code, error.contains("first, second")),
        (Some(1), true),
        "{error}"
    );
    let (code, _, error) = send(&[&place[..], &["--workspace", "third"]].concat()).await;
    assert_eq!((code, error.contains("third")), (Some(1), true), "{error}");

    let literal = config.replace("{ file = \"secret\" }", "\"s3cret\"");
    std::fs::write(file, literal).expect("a file");
    let (code, _, error) = send(&place).await;
    assert_eq!((code, error.contains("line 8")), (Some(1), true), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
}
