//! The examples of launchers as clients of a service: what it answers becomes the exit code that the contract wants.

use std::{fs, path::Path, process::Stdio};

use serde_json::json;
use tokio::{io::AsyncWriteExt, process::Command};

use super::{has, launcher};
use crate::support::{
    script::write_program,
    scripted::{Reply, Scripted},
    stack::wait_until,
};

/// Exit code, standard output and standard error of one call that is handed on to a service.
async fn call(
    program: &Path,
    url: &str,
    header: &Path,
    verb: &str,
) -> (Option<i32>, String, String) {
    let variables = [
        ("LAUNCHER_URL", url),
        (
            "LAUNCHER_HEADER_FILE",
            header.to_str().expect("a path in UTF-8"),
        ),
    ];
    let message = b"{\"verb\": \"submit\", \"launch\": {}}";
    call_with(program, &variables, verb, message).await
}

async fn call_with(
    program: &Path,
    variables: &[(&str, &str)],
    verb: &str,
    message: &[u8],
) -> (Option<i32>, String, String) {
    let mut child = Command::new(program)
        .arg(verb)
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(message).await.expect("it reads");
    drop(input);
    let output = child.wait_with_output().await.expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[tokio::test]
async fn a_services_answers_become_exit_codes() {
    if !has(&["jq", "curl", "python3"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder for the test");
    let header = folder.path().join("header");
    fs::write(&header, "authorization: Bearer a token\n").expect("the folder is writable");
    for name in ["launcher.sh", "launcher.py"] {
        for (status, code) in [
            (200, 0),
            (404, 66),
            (410, 66),
            (400, 65),
            (422, 65),
            (409, 70),
            (429, 75),
            (503, 75),
            (500, 70),
        ] {
            let reply = Reply::new(status, "{\"handle\": 1}");
            let service = Scripted::start([reply]).await;
            let (ended, out, errors) =
                call(&launcher(name), &service.url("/v1"), &header, "submit").await;
            assert_eq!(ended, Some(code), "{name} {status}: {errors}");
            let answer = if code == 0 { "{\"handle\": 1}" } else { "" };
            assert_eq!(out, answer, "{name} {status}");
            let asked = service.finish().remove(0);
            assert_eq!((&*asked.method, &*asked.path), ("POST", "/v1/submit"));
            assert_eq!(asked.header("authorization"), Some("Bearer a token"));
            assert_eq!(asked.json()["verb"], "submit");
        }
        let nobody = call(&launcher(name), "http://127.0.0.1:1", &header, "submit").await;
        assert_eq!(nobody.0, Some(75), "{name}: nothing was sent: {}", nobody.2);
        let cut = Scripted::start([Reply::Close]).await;
        let lost = call(&launcher(name), &cut.url(""), &header, "submit").await;
        assert_eq!(
            lost.0,
            Some(70),
            "{name}: it may have been taken: {}",
            lost.2
        );
    }
}

#[tokio::test]
async fn what_is_meant_for_a_launcher_reaches_no_job() {
    if !has(&["jq", "python3"]) {
        return;
    }
    for name in ["launcher.sh", "launcher.py"] {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let argv = ["sh", "-c", "env > env.new; mv env.new env"];
        let message = json!({ "verb": "submit", "launch": {
            "job_dir": folder.path(), "argv": argv, "env": { "GIVEN": "two words" },
        } });
        // What is started begins in the folder of whoever calls the launcher.
        let script = folder.path().join("launcher");
        let line = format!(
            "cd {} && exec {} submit",
            folder.path().display(),
            launcher(name).display()
        );
        write_program(folder.path(), "launcher", &line);
        let variables = [("TOKEN_OF_LAUNCHER", "s3cret"), ("variables", "s3cret")];
        let message = message.to_string().into_bytes();
        let (code, _, errors) = call_with(&script, &variables, "submit", &message).await;
        assert_eq!(code, Some(0), "{name}: {errors}");
        let env = folder.path().join("env");
        let env = wait_until("the variables", || fs::read_to_string(&env).ok()).await;
        assert!(
            env.contains("GIVEN=two words\n") && env.contains("PATH="),
            "{name}: {env}"
        );
        assert!(!env.contains("s3cret"), "{name}: {env}");
    }
}
