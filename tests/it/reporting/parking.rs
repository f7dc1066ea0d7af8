//! What Labelbox refuses is parked, loudly, and goes out when the cause is gone or a person says so.

use std::fs;

use serde_json::Value;
use trainhook::emulator::Fault;

use super::{
    UPDATE, assert_in_order, calls, count, down, owed, refusal, reports, settled, stack_with,
    training,
};
use crate::support::{
    clicks::readiness,
    stack::{API_KEY, Stack, UNTIL_GO, job_id, model, trainhook_in, wait_until},
};

const PARKED: &str = "parked, Labelbox refuses";

/// A stack that tries nothing parked again by itself.
async fn patient(models: &str) -> Stack {
    stack_with(&[("parked_retry", "1h")], models).await
}

fn write_key(stack: &Stack, key: &str) {
    fs::write(stack.folder.path().join("key"), key).expect("the folder is writable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_parks_the_workspace_and_a_good_one_in_its_file_releases_it() {
    let stack = patient(&model("slow", UNTIL_GO, "")).await;
    let run = training(&stack, "slow").await;
    assert_eq!(readiness(&stack).await.status, 200);
    write_key(&stack, "a key that was revoked");
    stack.go();
    stack.server.logged(PARKED).await;
    let parked = wait_until("readiness to end", || reports(&stack, false).pop()).await;
    assert_eq!(
        (&parked["state"], &parked["status"]),
        (&"parked".into(), &"COMPLETE".into())
    );
    let why = parked["error"].as_str().unwrap_or_default();
    assert!(
        why.contains("refuses the api key") && !why.contains("revoked"),
        "{why}"
    );
    let unready = readiness(&stack).await;
    assert_eq!(unready.status, 503);
    assert!(
        unready.body.contains("the API key of workspace main"),
        "{unready:?}"
    );
    write_key(&stack, API_KEY);
    assert_in_order(&stack.told(&run, "COMPLETE").await, "COMPLETE");
    settled(&stack).await;
    assert_eq!(readiness(&stack).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_workspace_is_tried_with_one_run_and_released_whole() {
    let stack = patient(&model("quick", "true", "")).await;
    let (refused, untried) = (stack.new_run(), stack.new_run());
    stack
        .emulator
        .add_fault(Fault::once(UPDATE, refusal("AUTHENTICATION_ERROR")));
    stack.click(&refused, "quick").await;
    stack.server.logged(PARKED).await;
    stack.click(&untried, "quick").await;
    let finals = wait_until("two parked finals", || {
        let owed = reports(&stack, false);
        let ended = owed.iter().filter(|report| report["status"] == "COMPLETE");
        (ended.count() == 2).then_some(owed)
    });
    assert!(
        finals
            .await
            .iter()
            .all(|report| report["state"] == "parked")
    );
    assert_eq!(
        calls(&stack.emulator.requests(), UPDATE).len(),
        1,
        "one try"
    );
    let oldest = owed(&stack, &untried).swap_remove(0);
    stack.trainhook(&["reports", "resend", &oldest]);
    for run in [&refused, &untried] {
        assert_in_order(&stack.told(run, "COMPLETE").await, "COMPLETE");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_about_one_run_parks_that_run_alone_until_it_is_resent() {
    let stack = patient(&model("quick", "echo quick >> runs", "")).await;
    let (parked, other) = (stack.new_run(), stack.new_run());
    stack
        .emulator
        .add_fault(Fault::once(UPDATE, refusal("AUTHORIZATION_ERROR")));
    stack.click(&parked, "quick").await;
    stack.server.logged(PARKED).await;
    stack.click(&other, "quick").await;
    assert_in_order(&stack.told(&other, "COMPLETE").await, "COMPLETE");
    stack.wait_for_lines("runs", 2).await;
    assert!(stack.emulator.timeline(&parked).is_empty());
    let unready = readiness(&stack).await;
    assert_eq!(unready.status, 503);
    assert!(
        unready.body.contains("the reports of 1 model run"),
        "{unready:?}"
    );
    let list = stack.trainhook(&["reports", "list"]);
    assert!(
        list.contains("parked") && list.contains("because of a test"),
        "{list}"
    );
    assert!(list.contains(&parked) && !list.contains(&other), "{list}");
    let first = owed(&stack, &parked).swap_remove(0);
    stack.trainhook(&["reports", "resend", &first]);
    assert_in_order(&stack.told(&parked, "COMPLETE").await, "COMPLETE");
    settled(&stack).await;
    assert_eq!(readiness(&stack).await.status, 200);
    assert!(
        stack
            .trainhook(&["reports", "list"])
            .contains("nothing is owed to Labelbox")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_is_tried_again_every_few_minutes() {
    let stack = stack_with(&[("parked_retry", "300ms")], &model("quick", "true", "")).await;
    let run = stack.new_run();
    stack
        .emulator
        .add_fault(Fault::times(UPDATE, 3, refusal("OPERATION_NOT_ALLOWED")));
    stack.click(&run, "quick").await;
    assert_in_order(&stack.told(&run, "COMPLETE").await, "COMPLETE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_report_is_never_told_and_the_rest_is() {
    let stack = patient(&model("quick", "true", "")).await;
    let run = stack.new_run();
    stack
        .emulator
        .add_fault(Fault::once(UPDATE, refusal("AUTHORIZATION_ERROR")));
    stack.click(&run, "quick").await;
    stack
        .server
        .logged("the attempt is over, the job is succeeded")
        .await;
    stack.server.logged(PARKED).await;
    let mut numbers = owed(&stack, &run);
    let last = numbers.pop().expect("the final");
    for number in &numbers {
        stack.trainhook(&["reports", "drop", number]);
        let again = trainhook_in(stack.folder.path(), &["reports", "drop", number]);
        assert_eq!(again.status.code(), Some(1), "{again:?}");
    }
    let dropped = |report: &Value| report["state"] == "dropped";
    let all = reports(&stack, true);
    assert_eq!(
        all.iter().filter(|report| dropped(report)).count(),
        numbers.len(),
        "{all:?}"
    );
    stack.trainhook(&["reports", "resend", &last]);
    let timeline = stack.told(&run, "COMPLETE").await;
    assert_eq!(timeline.len(), 1, "{timeline:?}");
    settled(&stack).await;
    let resent = trainhook_in(stack.folder.path(), &["reports", "resend", &last]);
    assert_eq!(resent.status.code(), Some(1), "{resent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_refused_as_it_is_goes_out_as_a_bare_status() {
    let stack = patient(&model(
        "broken",
        &format!("{UNTIL_GO}; echo no >&2; exit 1"),
        "",
    ))
    .await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "broken").await);
    stack.told(&run, "TRAINING_MODEL").await;
    settled(&stack).await;
    stack
        .emulator
        .add_fault(Fault::once(UPDATE, refusal("MALFORMED_REQUEST")));
    stack.go();
    let timeline = stack.told(&run, "FAILED").await;
    assert_eq!(count(&timeline, "FAILED"), 1);
    let last = timeline.last().expect("an entry");
    assert_eq!((&last.error_message, &last.metadata), (&None, &None));
    let story = wait_until("the note", || {
        Some(stack.trainhook(&["jobs", "show", &id])).filter(|story| story.contains("bare status"))
    });
    assert!(story.await.contains("because of a test"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_whose_bare_form_meets_an_outage_is_tried_again_soon() {
    let stack = patient(&model("broken", &format!("{UNTIL_GO}; exit 1"), "")).await;
    let run = training(&stack, "broken").await;
    stack
        .emulator
        .add_fault(Fault::once(UPDATE, refusal("MALFORMED_REQUEST")));
    stack.emulator.add_fault(down(super::status(500, &[])));
    stack.go();
    stack.server.logged("labelbox has a fault").await;
    stack.emulator.clear_faults();
    assert_in_order(&stack.told(&run, "FAILED").await, "FAILED");
    assert!(calls(&stack.emulator.requests(), UPDATE).len() > 2);
}
