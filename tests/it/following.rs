//! Commands for people that follow a job to its end.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use crate::support::stack::{Stack, model, trainhook_in};

const TALK: &str = "echo begun; while [ ! -e go ]; do sleep 0.05; done; echo done";

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed_to_its_end() {
    let stack = Stack::start(&model("talk", TALK, "")).await;
    let run = stack.new_run();
    stack.click(&run, "talk").await;
    let mut follow = Command::new(env!("CARGO_BIN_EXE_trainhook"))
        .args(["jobs", "logs", "-f", &run])
        .current_dir(stack.folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let printed = BufReader::new(follow.stdout.take().expect("it is piped"));
    let mut lines = printed.lines().map_while(Result::ok);
    assert_eq!(lines.next().as_deref(), Some("begun"), "before the end");
    stack.go();
    assert_eq!(lines.collect::<Vec<_>>(), ["done"]);
    assert!(follow.wait().expect("it ends").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed_across_a_restart_of_the_server() {
    let mut stack = Stack::start(&model("talk", TALK, "")).await;
    let run = stack.new_run();
    stack.click(&run, "talk").await;
    let mut follow = Command::new(env!("CARGO_BIN_EXE_trainhook"))
        .args(["jobs", "logs", "-f", &run])
        .current_dir(stack.folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let printed = BufReader::new(follow.stdout.take().expect("it is piped"));
    let mut lines = printed.lines().map_while(Result::ok);
    assert_eq!(lines.next().as_deref(), Some("begun"));
    stack.server.kill();
    let told = BufReader::new(follow.stderr.take().expect("it is piped"));
    let told = told.lines().map_while(Result::ok).next();
    assert!(told.is_some_and(|line| line.contains("is away")));
    stack.restart().await;
    stack.go();
    assert_eq!(lines.collect::<Vec<_>>(), ["done"], "nothing twice");
    assert!(follow.wait().expect("it ends").success());
}

/// `trainhook jobs wait`, which has begun to.
fn wait(stack: &Stack, more: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_trainhook"))
        .args(["jobs", "wait"])
        .args(more)
        .current_dir(stack.folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// Its exit code, and what it printed and complained.
fn outcome(waiting: Child) -> (Option<i32>, String, String) {
    let output = waiting.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_waits_for_a_job_and_learns_how_it_ended() {
    let models = model("talk", TALK, "") + &model("fails", "echo no room >&2; exit 3", "");
    let stack = Stack::start(&models).await;
    let run = stack.new_run();
    stack.click(&run, "talk").await;
    let (code, out, errors) = outcome(wait(&stack, &[&run, "--timeout", "1s"]));
    assert_eq!((code, &*out), (Some(3), ""), "{errors}");
    assert!(errors.contains("has not ended in time"), "{errors}");
    let waiting = wait(&stack, &[&run]);
    stack.go();
    let (code, out, errors) = outcome(waiting);
    assert_eq!((code, &*errors), (Some(0), ""));
    assert!(out.contains("succeeded"), "{out}");
    let run = stack.new_run();
    stack.click(&run, "fails").await;
    let (code, out, errors) = outcome(wait(&stack, &[&run, "--json"]));
    assert_eq!(code, Some(1));
    assert!(errors.contains("exit code 3"), "{errors}");
    let job: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(job["job"]["state"], "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_at_the_beginning_is_waited_for() {
    let mut stack = Stack::start(&model("talk", TALK, "")).await;
    let run = stack.new_run();
    stack.click(&run, "talk").await;
    stack.server.kill();
    let mut waiting = wait(&stack, &[&run]);
    let told = BufReader::new(waiting.stderr.take().expect("it is piped"));
    let told = told.lines().map_while(Result::ok).next();
    assert!(told.is_some_and(|line| line.contains("is away")));
    stack.restart().await;
    stack.go();
    assert_eq!(outcome(waiting).0, Some(0));
    let shown = trainhook_in(stack.folder.path(), &["jobs", "wait", "nothing"]);
    assert_eq!(shown.status.code(), Some(1), "there is no such job");
}
