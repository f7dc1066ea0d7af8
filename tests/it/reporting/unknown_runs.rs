//! Runs that Labelbox does not know, no longer knows, or knows otherwise.

use serde_json::json;
use trainhook::emulator::Fault;

use super::{ASK, UPDATE, assert_in_order, assert_let_alone, calls, refusal, settled, training};
use crate::support::{
    clicks::{accepted, post},
    stack::{LIMIT, Stack, UNTIL_GO, job_id, model},
};

/// Sends a click that Labelbox would not send: of a model and a run of the caller's choice. Answers the job's id.
async fn click_as(stack: &Stack, model_id: &str, run: &str) -> String {
    let body = json!({"modelId": model_id, "modelRunId": run, "modelType": "job"}).to_string();
    accepted(&post(stack, &body).await).0
}

/// A job that failed before its command ran, and why.
fn assert_preflight(stack: &Stack, id: &str, words: &[&str]) {
    let job = &stack.job(id)["job"];
    assert_eq!(
        (&job["state"], &job["cause"]),
        (&"failed".into(), &"preflight".into())
    );
    let message = job["message"].as_str().unwrap_or_default();
    assert!(words.iter().all(|word| message.contains(word)), "{message}");
    assert!(stack.lines("runs").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_labelbox_does_not_know_fails_before_anything_runs() {
    let stack = Stack::start(&model("job", "echo run >> runs", "")).await;
    let id = click_as(&stack, "some-model", "no-such-run").await;
    stack
        .server
        .logged("failed model run no-such-run does not exist")
        .await;
    assert_preflight(&stack, &id, &["no-such-run", "does not exist"]);
    settled(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_another_model_fails_before_anything_runs_and_labelbox_is_told() {
    let stack = Stack::start(&model("job", "echo run >> runs", "")).await;
    let (owner, run) = stack.emulator.create_model_run(None, "a run");
    let id = click_as(&stack, "another-model", &run).await;
    let timeline = stack.told(&run, "FAILED").await;
    assert_preflight(&stack, &id, &[&owner, "another-model"]);
    let message = timeline
        .last()
        .and_then(|entry| entry.error_message.as_deref());
    assert!(
        message.is_some_and(|message| message.contains(&owner)),
        "{timeline:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_deleted_while_it_trains_ends_its_reports_and_not_its_command() {
    let script = format!("{UNTIL_GO}; $TRAINHOOK_BIN event metric loss=1; echo end >> ends");
    let stack = Stack::start(&model("job", &script, "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "TRAINING_MODEL").await;
    settled(&stack).await;
    stack.emulator.delete_model_run(&run);
    stack.go();
    stack
        .server
        .logged("the attempt is over, the job is succeeded")
        .await;
    stack.server.logged("its reports end").await;
    settled(&stack).await;
    assert_eq!(stack.lines("ends"), ["end"]);
    let story = stack.trainhook(&["jobs", "show", &id]);
    assert!(
        story.contains("dropped") && story.contains("does not exist"),
        "{story}"
    );
    assert_let_alone(&stack, &run, "job").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_word_of_the_update_alone_does_not_end_a_runs_reports() {
    let stack = Stack::start(&model("job", "true", "")).await;
    let run = stack.new_run();
    stack
        .emulator
        .add_fault(Fault::once(UPDATE, refusal("RESOURCE_NOT_FOUND")));
    stack.click(&run, "job").await;
    assert_in_order(&stack.told(&run, "COMPLETE").await, "COMPLETE");
    let dropped = |report: &serde_json::Value| report["state"] == "dropped";
    assert!(!super::reports(&stack, true).iter().any(dropped));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_answer_that_does_not_come_ends_no_reports() {
    let stack = Stack::start(&model("job", UNTIL_GO, "")).await;
    let run = training(&stack, "job").await;
    let asked = calls(&stack.emulator.requests(), ASK).len();
    stack
        .emulator
        .add_fault(Fault::once(UPDATE, refusal("RESOURCE_NOT_FOUND")));
    stack
        .emulator
        .add_fault(Fault::once(ASK, super::status(502, &[])));
    stack.go();
    assert_in_order(&stack.told(&run, "COMPLETE").await, "COMPLETE");
    let again = stack
        .emulator
        .wait_for_requests(LIMIT, |all| calls(all, ASK).len() > asked);
    again.await.expect("a second answer was wanted");
}
