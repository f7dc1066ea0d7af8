//! kill -9 on whatever takes part, and what becomes of the run.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use serde_json::Value;
use trainhook::process::ProcessId;

use crate::support::stack::{Stack, UNTIL_GO, job_id, model, statuses, wait_until};

fn attempt(stack: &Stack, id: &str) -> PathBuf {
    stack.folder.path().join("jobs").join(id).join("a1")
}

fn supervisor(stack: &Stack, id: &str) -> String {
    let lock = fs::read(attempt(stack, id).join("supervisor.lock")).expect("a supervisor runs");
    let holder: Value = serde_json::from_slice(&lock).expect("JSON");
    holder["pid"].to_string()
}

fn kill(pid: &str) {
    let killed = Command::new("kill").args(["-KILL", pid]).status();
    assert!(killed.expect("kill is there").success());
}

fn is_alive(pid: &str) -> bool {
    ProcessId::of(pid.parse().expect("a pid")).is_some_and(ProcessId::is_alive)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_again_and_again_starts_the_command_once() {
    let mut stack = Stack::start(&model("job", UNTIL_GO, "")).await;
    let run = stack.new_run();
    stack.click(&run, "job").await;
    // Each time a little later: before the submit, within it, after it.
    for delay in [0, 1, 2, 4, 8, 16] {
        tokio::time::sleep(Duration::from_millis(delay)).await;
        stack.server.kill();
        stack.restart().await;
    }
    stack.go();
    let timeline = stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"], "one run of the command");
    let finals = timeline
        .iter()
        .filter(|entry| entry.status == "COMPLETE")
        .count();
    assert!(finals >= 1 && statuses(&timeline).last() == Some(&"COMPLETE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_supervisor_takes_its_command_with_it_and_the_job_is_lost() {
    let script = "echo $$ >> pids; while :; do sleep 0.05; done";
    let stack = Stack::start(&model("job", script, "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let command = stack.wait_for_lines("pids", 1).await.remove(0);
    kill(&supervisor(&stack, &id));
    stack.told(&run, "FAILED").await;
    assert_eq!(stack.job(&id)["job"]["cause"], "lost");
    assert!(!is_alive(&command), "nothing is left of it");
    assert_eq!(
        stack.lines("pids").len(),
        1,
        "what it had done is unknown: no second attempt"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn server_and_supervisor_killed_together_leave_nothing_behind() {
    // A child in a session of its own is bound neither to the command's life nor to its session.
    let script = "setsid sh -c 'echo $$ >> pids; while :; do sleep 0.05; done' & \
         echo $$ >> pids; while :; do sleep 0.05; done";
    let mut stack = Stack::start(&model("job", script, "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let pids = stack.wait_for_lines("pids", 2).await;
    let supervisor = supervisor(&stack, &id);
    stack.server.kill();
    kill(&supervisor);
    stack.restart().await;
    stack.told(&run, "FAILED").await;
    assert!(!pids.iter().any(|pid| is_alive(pid)), "{pids:?}");
    assert_eq!(stack.lines("pids").len(), 2, "no second attempt");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_command_fails_with_the_signals_number() {
    let stack = Stack::start(&model(
        "job",
        "echo $$ >> pids; while :; do sleep 0.05; done",
        "",
    ))
    .await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let command = stack.wait_for_lines("pids", 1).await.remove(0);
    kill(&command);
    let timeline = stack.told(&run, "FAILED").await;
    let message = timeline
        .last()
        .and_then(|entry| entry.error_message.clone())
        .unwrap_or_default();
    assert!(message.contains("signal 9"), "{message}");
    assert_eq!(stack.job(&id)["job"]["state"], "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_outlives_the_server() {
    let executor = "[executors.local]\nkind = \"local\"\nmax_running = 1\n";
    let script = "echo $TRAINHOOK_MODEL_RUN_ID >> runs; while [ ! -e go ]; do sleep 0.02; done";
    let mut stack = Stack::start_with(&(executor.to_owned() + &model("job", script, ""))).await;
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(stack.click_in_turn("job").await.0);
    }
    stack.server.kill();
    stack.restart().await;
    stack.go();
    for run in &runs {
        stack.told(run, "COMPLETE").await;
    }
    assert_eq!(
        stack.lines("runs"),
        runs,
        "each once, in the order of the clicks"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_while_no_server_runs_keeps_its_own_outcome() {
    let script = "echo run >> runs; while [ ! -e go ]; do sleep 0.02; done; echo too little data >&2; exit 4";
    let mut stack = Stack::start(&model("job", script, "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    stack.server.kill();
    stack.go();
    let record = attempt(&stack, &id).join("exit.json");
    wait_until("the exit record", || record.exists().then_some(())).await;
    stack.restart().await;
    let timeline = stack.told(&run, "FAILED").await;
    let message = timeline
        .last()
        .and_then(|entry| entry.error_message.clone())
        .unwrap_or_default();
    assert!(message.contains("too little data"), "{message}");
    assert_eq!(stack.lines("runs").len(), 1);
}
