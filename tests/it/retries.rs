//! New attempts: for infrastructure causes only, bounded, from the checkpoint.

use serde_json::Value;

use crate::support::stack::{LIMIT, Stack, UNTIL_GO, job_id, model, statuses, wait_until};

const QUICKLY: &str = "retry = { max = 2, backoff = \"50ms\" }";

/// Notes attempt, resumption, and what the attempt before left in the checkpoint.
const NOTE: &str = "echo \"$TRAINHOOK_ATTEMPT $TRAINHOOK_RESUME $(cat $TRAINHOOK_CHECKPOINT_DIR/at 2>/dev/null)\" >> runs; \
     echo $TRAINHOOK_ATTEMPT > $TRAINHOOK_CHECKPOINT_DIR/at; ";

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_asks_for_it_is_tried_again_from_its_checkpoint() {
    let script = format!("{NOTE} [ $TRAINHOOK_ATTEMPT = 3 ] || exit 75");
    let stack = Stack::start(&model("job", &script, QUICKLY)).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let timeline = stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1 0 ", "2 1 1", "3 1 2"]);
    let told = statuses(&timeline);
    let begun = told
        .iter()
        .filter(|status| **status == "EXPORTING_DATA")
        .count();
    assert_eq!(begun, 1, "a new attempt exports nothing: {told:?}");
    assert_eq!(stack.job(&id)["job"]["attempt"], 3);
    for attempt in ["1", "2", "3"] {
        stack.trainhook(&["jobs", "logs", &id, "--attempt", attempt]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_come_to_an_end() {
    let script =
        format!("{NOTE} touch $TRAINHOOK_OUT_DIR/retry; echo the disk is gone >&2; exit 1");
    let stack = Stack::start(&model("job", &script, QUICKLY)).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let timeline = stack.told(&run, "FAILED").await;
    assert_eq!(stack.lines("runs").len(), 3);
    let message = timeline
        .last()
        .and_then(|entry| entry.error_message.clone())
        .unwrap_or_default();
    assert!(message.contains("the disk is gone"), "{message}");
    let job = stack.job(&id);
    assert_eq!(job["job"]["cause"], "infra");
    let timeline = job["timeline"].to_string();
    assert!(
        timeline.contains("attempt 1 ended") && timeline.contains("attempt 2 ended"),
        "{timeline}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commands_own_failure_is_final() {
    let stack = Stack::start(&model("job", &format!("{NOTE} exit 3"), QUICKLY)).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "FAILED").await;
    assert_eq!(stack.lines("runs"), ["1 0 "]);
    assert_eq!(stack.job(&id)["job"]["cause"], "job_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cause_that_the_model_does_not_name_is_final() {
    let named = "retry = { max = 2, on = [\"preempted\"], backoff = \"50ms\" }";
    let stack = Stack::start(&model("job", &format!("{NOTE} exit 75"), named)).await;
    let run = stack.new_run();
    stack.click(&run, "job").await;
    stack.told(&run, "FAILED").await;
    assert_eq!(stack.lines("runs"), ["1 0 "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_not_there_is_the_jobs_own_failure() {
    let missing = model("job", "", QUICKLY).replace("[\"sh\", \"-c\", \"\"]", "[\"./not-there\"]");
    let stack = Stack::start(&missing).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let timeline = stack.told(&run, "FAILED").await;
    let message = timeline
        .last()
        .and_then(|entry| entry.error_message.clone())
        .unwrap_or_default();
    assert!(message.contains("not-there"), "{message}");
    let job = stack.job(&id);
    assert_eq!(
        (&job["job"]["cause"], &job["job"]["attempt"]),
        (&"job_error".into(), &1.into())
    );
}

/// A job whose first attempt asked for another one, which is half an hour away; and why it waits.
async fn between_attempts() -> (Stack, String, String, Value) {
    let script = format!("{UNTIL_GO}; exit 75");
    let later = "retry = { max = 2, backoff = \"1h\" }";
    let stack = Stack::start(&model("job", &script, later)).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    // Progress that is overtaken is never told, so the command goes on only when it was.
    stack.told(&run, "TRAINING_MODEL").await;
    stack.go();
    let waiting = wait_until("the wait for a new attempt", || {
        let job = stack.job(&id)["job"].take();
        (job["state"] == "queued" && job["attempt"] == 2).then(|| job["waiting"].clone())
    })
    .await;
    (stack, run, id, waiting)
}

#[tokio::test(flavor = "multi_thread")]
async fn between_attempts_labelbox_reads_preparing_and_a_person_may_cancel() {
    let (stack, run, id, waiting) = between_attempts().await;
    assert!(waiting.to_string().contains("next attempt at"), "{waiting}");
    let goes_back =
        |timeline: &[_]| statuses(timeline).ends_with(&["TRAINING_MODEL", "PREPARING_DATA"]);
    let told = stack.emulator.wait_for(&run, LIMIT, goes_back).await;
    told.expect("Labelbox reads that data is prepared again");
    stack.trainhook(&["jobs", "cancel", &id]);
    stack.told(&run, "FAILED").await;
    let job = stack.job(&id);
    assert_eq!(job["job"]["state"], "cancelled");
    assert_eq!(stack.lines("runs"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_hastens_no_new_attempt() {
    let (mut stack, _, id, waiting) = between_attempts().await;
    stack.server.kill();
    stack.restart().await;
    // A job of this start has been through the queue, so the waiting one was passed over.
    let other = stack.new_run();
    let beside = job_id(&stack.click(&other, "job").await);
    wait_until("the other job's own wait", || {
        (stack.job(&beside)["job"]["attempt"] == 2).then_some(())
    })
    .await;
    assert_eq!(stack.job(&id)["job"]["waiting"], waiting);
    assert_eq!(stack.lines("runs"), ["1", "1"], "a first attempt each");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_retries_as_a_new_job_with_a_parent() {
    let stack = Stack::start(&model("job", UNTIL_GO, "")).await;
    let run = stack.new_run();
    let first = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    stack.trainhook(&["jobs", "cancel", &first]);
    stack.told(&run, "FAILED").await;
    stack.go();
    stack.trainhook(&["jobs", "retry", &first]);
    let timeline = stack.told(&run, "COMPLETE").await;
    let second = stack.job(&run);
    assert_eq!(second["job"]["parent"], first.as_str());
    assert_eq!(
        stack.job(&first)["job"]["state"],
        "cancelled",
        "a job that has ended stays as it is"
    );
    assert_eq!(statuses(&timeline).last(), Some(&"COMPLETE"));
}
