//! Jobs that are stopped: by a person, or by a time-out.

use std::fs;

use trainhook::process::ProcessId;

use crate::support::stack::{Stack, UNTIL_GO, job_id, model, statuses, trainhook_in, wait_until};

/// Ignores SIGTERM, and so do its children, of which one is in a session of its own.
const STUBBORN: &str = "trap '' TERM; echo $$ >> pids; \
     sh -c 'echo $$ >> pids; while :; do sleep 0.05; done' & \
     setsid sh -c 'echo $$ >> pids; while :; do sleep 0.05; done' & \
     while :; do sleep 0.05; done";

/// Those of these processes that are there.
fn alive(pids: &[String]) -> Vec<&String> {
    let is_alive = |pid: &&String| {
        let process = ProcessId::of(pid.parse().expect("a pid"));
        process.is_some_and(ProcessId::is_alive)
    };
    pids.iter().filter(is_alive).collect()
}

/// What Labelbox reads at the end.
async fn last_message(stack: &Stack, run: &str) -> String {
    let timeline = stack.told(run, "FAILED").await;
    assert_eq!(statuses(&timeline).last(), Some(&"FAILED"));
    let last = timeline
        .last()
        .and_then(|entry| entry.error_message.clone());
    last.expect("a message")
}

/// A person who cancels a job that has ended reads that it has.
fn is_refused(stack: &Stack, id: &str) {
    let late = trainhook_in(stack.folder.path(), &["jobs", "cancel", id]);
    assert_eq!(late.status.code(), Some(1));
    let text = String::from_utf8_lossy(&late.stderr);
    assert!(text.contains("ended already"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_command_that_ignores_sigterm_is_killed_with_all_its_children() {
    let stack = Stack::start(&model("job", STUBBORN, "cancel_grace = \"200ms\"")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let pids = stack.wait_for_lines("pids", 3).await;
    assert_eq!(alive(&pids).len(), 3);
    stack.trainhook(&["jobs", "cancel", &id]);
    // The second wish is none: the first one is under way.
    trainhook_in(stack.folder.path(), &["jobs", "cancel", &id]);
    let message = last_message(&stack, &run).await;
    assert!(message.starts_with("cancelled by "), "{message}");
    assert!(alive(&pids).is_empty(), "{:?}", alive(&pids));
    assert_eq!(stack.job(&id)["job"]["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_heeds_sigterm_ends_in_its_own_way() {
    let script =
        "trap 'echo bye >> runs; exit 0' TERM; echo hello >> runs; while :; do sleep 0.05; done";
    let stack = Stack::start(&model("job", script, "cancel_grace = \"1h\"")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    stack.trainhook(&["jobs", "cancel", &id]);
    last_message(&stack, &run).await;
    assert_eq!(stack.lines("runs"), ["hello", "bye"]);
    // Whatever code it ends with, it was cancelled.
    assert_eq!(stack.job(&id)["job"]["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_job_is_cancelled_without_having_run() {
    let executor = "[executors.local]\nkind = \"local\"\nmax_running = 1\n";
    let stack = Stack::start_with(&(executor.to_owned() + &model("job", UNTIL_GO, ""))).await;
    let (first, second) = (stack.new_run(), stack.new_run());
    stack.click(&first, "job").await;
    stack.wait_for_lines("runs", 1).await;
    let id = job_id(&stack.click(&second, "job").await);
    wait_until("its place in the queue", || {
        (stack.job(&id)["job"]["state"] == "queued").then_some(())
    })
    .await;
    stack.trainhook(&["jobs", "cancel", &id]);
    last_message(&stack, &second).await;
    stack.go();
    stack.told(&first, "COMPLETE").await;
    assert_eq!(stack.lines("runs").len(), 1);
    is_refused(&stack, &id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_comes_too_late_changes_nothing() {
    let stack = Stack::start(&model("job", "true", "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let before = stack.told(&run, "COMPLETE").await;
    is_refused(&stack, &id);
    // What the cancel could have told would have gone out before this.
    let next = stack.new_run();
    stack.click(&next, "job").await;
    stack.told(&next, "COMPLETE").await;
    assert_eq!(stack.job(&id)["job"]["state"], "succeeded");
    let after = stack.told(&run, "COMPLETE").await;
    assert_eq!(statuses(&after), statuses(&before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_timeout_ends_the_command_and_is_the_reason() {
    let stack = Stack::start(&model(
        "job",
        STUBBORN,
        "run_timeout = \"300ms\"\ncancel_grace = \"100ms\"",
    ))
    .await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let message = last_message(&stack, &run).await;
    assert!(message.contains("run_timeout"), "{message}");
    let job = stack.job(&id);
    assert_eq!(
        (&job["job"]["state"], &job["job"]["cause"]),
        (&"failed".into(), &"run_timeout".into())
    );
    assert!(alive(&stack.lines("pids")).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_to_stop_outlives_the_server() {
    let mut stack = Stack::start(&model("job", STUBBORN, "cancel_grace = \"1s\"")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("pids", 3).await;
    stack.trainhook(&["jobs", "cancel", &id]);
    stack.server.kill();
    stack.restart().await;
    last_message(&stack, &run).await;
    assert_eq!(stack.job(&id)["job"]["state"], "cancelled");
    assert!(alive(&stack.lines("pids")).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_to_stop_that_could_not_be_acted_on_outlives_the_server() {
    let mut stack = Stack::start(&model("job", UNTIL_GO, "cancel_grace = \"1h\"")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    // Where a folder is, no wish can be written: the supervisor cannot be told.
    let wish = stack
        .folder
        .path()
        .join("jobs")
        .join(&id)
        .join("a1/cancel.json");
    fs::create_dir(&wish).expect("it is ours");
    stack.trainhook(&["jobs", "cancel", &id]);
    stack.server.kill();
    fs::remove_dir(&wish).expect("it is there, and empty");
    stack.restart().await;
    last_message(&stack, &run).await;
    assert_eq!(stack.job(&id)["job"]["state"], "cancelled");
    assert_eq!(stack.lines("runs"), ["1"], "one run of the command");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_reaches_the_command_while_no_server_runs() {
    let mut stack = Stack::start(&model("job", STUBBORN, "cancel_grace = \"100ms\"")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("pids", 3).await;
    stack.trainhook(&["jobs", "cancel", &id]);
    let attempt = stack.folder.path().join("jobs").join(&id).join("a1");
    wait_until("the wish in the attempt's folder", || {
        attempt.join("cancel.json").exists().then_some(())
    })
    .await;
    stack.server.kill();
    wait_until("the exit record", || {
        attempt.join("exit.json").exists().then_some(())
    })
    .await;
    assert!(alive(&stack.lines("pids")).is_empty());
    stack.restart().await;
    last_message(&stack, &run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_folder_cannot_be_read_says_so_and_can_be_cancelled() {
    let stack = Stack::start(&model("job", UNTIL_GO, "cancel_grace = \"100ms\"")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "TRAINING_MODEL").await;
    let attempt = stack.folder.path().join("jobs").join(&id).join("a1");
    fs::write(attempt.join("claim.json"), "{").expect("the folder is writable");
    wait_until("a reason", || {
        let waiting = stack.job(&id)["job"]["waiting"].to_string();
        waiting
            .contains("cannot read the job directory")
            .then_some(())
    })
    .await;
    stack.trainhook(&["jobs", "cancel", &id]);
    let message = last_message(&stack, &run).await;
    assert!(message.starts_with("cancelled by "), "{message}");
    assert_eq!(stack.job(&id)["job"]["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_cancel_there_is_no_new_attempt() {
    let script =
        "trap 'exit 75' TERM; echo $TRAINHOOK_ATTEMPT >> runs; while :; do sleep 0.05; done";
    let settings = "retry = { max = 3, backoff = \"10ms\" }\ncancel_grace = \"1h\"";
    let stack = Stack::start(&model("job", script, settings)).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    stack.trainhook(&["jobs", "cancel", &id]);
    last_message(&stack, &run).await;
    let job = stack.job(&id);
    assert_eq!(job["job"]["state"], "cancelled", "{job}");
    assert_eq!(job["job"]["attempt"], 1, "{job}");
    assert_eq!(stack.lines("runs"), ["1"]);
}
