//! The final status arrives, last, whatever was lost or late on its way.

use trainhook::emulator::{Fault, FaultKind, RecordedRequest, TimelineEntry};

use super::{
    READ_BACK, UPDATE, assert_in_order, assert_let_alone, calls, count, refusal, settled,
    stack_with, training,
};
use crate::support::{
    raw_http::ask,
    stack::{API_KEY, LIMIT, Stack, UNTIL_GO, model},
};

/// The final's first answer is lost after it took effect; waits for the second.
async fn told_twice(stack: &Stack) -> String {
    let run = training(stack, "job").await;
    stack
        .emulator
        .add_fault(Fault::once(UPDATE, FaultKind::DropAfter));
    stack.go();
    let twice = stack
        .emulator
        .wait_for(&run, LIMIT, |timeline| count(timeline, "COMPLETE") == 2);
    assert_in_order(&twice.await.expect("the final, again"), "COMPLETE");
    run
}

async fn told_thrice(stack: &Stack, run: &str) -> Vec<TimelineEntry> {
    let thrice = stack
        .emulator
        .wait_for(run, LIMIT, |timeline| count(timeline, "COMPLETE") == 3);
    thrice.await.expect("the final, once more")
}

/// A stack that reads nothing back before [`begin_read_back`].
async fn before_a_read_back() -> Stack {
    let waits = [("read_back_after", "1h"), ("parked_retry", "100ms")];
    stack_with(&waits, &model("job", UNTIL_GO, "")).await
}

/// No wait outlasts a start by more than `parked_retry`: the hour is over.
async fn begin_read_back(stack: &mut Stack) {
    stack.server.kill();
    stack.restart().await;
}

/// Does to Labelbox what it was asked to do before, as a request does that was held up on its way.
async fn apply_late(stack: &Stack, request: &RecordedRequest) {
    let (key, body) = (format!("Bearer {API_KEY}"), request.body.to_string());
    let headers = [
        ("Authorization", key.as_str()),
        ("Content-Type", "application/json"),
    ];
    let address = stack.emulator.address();
    let answer = ask(
        address,
        "POST",
        &request.path,
        &headers,
        Some(body.as_bytes()),
    )
    .await;
    let status = request.body["variables"]["data"]["status"].as_str();
    let applied = status.is_some_and(|status| answer.body.contains(status));
    assert!(applied, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_whose_answer_is_lost_is_told_again_and_read_back() {
    let stack = Stack::start(&model("job", UNTIL_GO, "")).await;
    let run = told_twice(&stack).await;
    // Each try looks for an old message first; the third look is the one that compares.
    let read_back = stack
        .emulator
        .wait_for_requests(LIMIT, |all| calls(all, READ_BACK).len() == 3);
    read_back.await.expect("the final is read back");
    settled(&stack).await;
    let timeline = stack.emulator.timeline(&run);
    assert_eq!(count(&timeline, "COMPLETE"), 2, "{timeline:?}");
    assert_eq!(count(&timeline, "FAILED"), 0, "{timeline:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_update_that_overtakes_a_final_is_overruled() {
    let mut stack = before_a_read_back().await;
    let run = told_twice(&stack).await;
    settled(&stack).await;
    let requests = stack.emulator.requests();
    let mut updates = calls(&requests, UPDATE);
    updates.retain(|call| call.body["variables"]["data"]["status"] == "TRAINING_MODEL");
    apply_late(&stack, updates.last().expect("one was told")).await;
    begin_read_back(&mut stack).await;
    let timeline = told_thrice(&stack, &run).await;
    assert_eq!(
        timeline.last().map(|entry| entry.status.as_str()),
        Some("COMPLETE")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_was_under_way_when_the_server_was_killed_may_come_late() {
    let mut stack = before_a_read_back().await;
    let hang = FaultKind::Delay {
        milliseconds: 600_000,
    };
    stack.emulator.add_fault(Fault::times(UPDATE, 1, hang));
    let run = stack.new_run();
    stack.click(&run, "job").await;
    let under_way = stack
        .emulator
        .wait_for_requests(LIMIT, |all| calls(all, UPDATE).len() == 1);
    let requests = under_way.await.expect("an update is under way");
    stack.server.kill();
    stack.restart().await;
    stack.go();
    stack.told(&run, "COMPLETE").await;
    settled(&stack).await;
    let updates = calls(&requests, UPDATE);
    apply_late(&stack, updates.first().expect("the update")).await;
    begin_read_back(&mut stack).await;
    let twice = stack
        .emulator
        .wait_for(&run, LIMIT, |timeline| count(timeline, "COMPLETE") == 2);
    let timeline = twice.await.expect("the final, again");
    let last = timeline.last().map(|entry| entry.status.as_str());
    assert_eq!(last, Some("COMPLETE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_that_was_told_and_not_marked_when_the_server_was_killed_is_told_again() {
    let mut stack = Stack::start(&model("job", UNTIL_GO, "")).await;
    let run = training(&stack, "job").await;
    let late = FaultKind::AnswerLate {
        milliseconds: 600_000,
    };
    stack.emulator.add_fault(Fault::once(UPDATE, late));
    stack.go();
    stack.told(&run, "COMPLETE").await;
    stack.server.kill();
    stack.restart().await;
    let twice = stack
        .emulator
        .wait_for(&run, LIMIT, |timeline| count(timeline, "COMPLETE") == 2);
    assert_in_order(&twice.await.expect("the final, again"), "COMPLETE");
    settled(&stack).await;
    assert_eq!(count(&stack.emulator.timeline(&run), "COMPLETE"), 2);
    assert_eq!(stack.lines("runs").len(), 1, "one run of the command");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_that_nobody_was_told_when_the_server_was_killed_is_told() {
    let mut stack = Stack::start(&model("job", UNTIL_GO, "")).await;
    let run = training(&stack, "job").await;
    let hang = FaultKind::Hang {
        milliseconds: 600_000,
    };
    let before = stack.emulator.requests().len();
    stack.emulator.add_fault(Fault::once(UPDATE, hang));
    stack.go();
    let under_way = stack.emulator.wait_for_requests(LIMIT, |all| {
        let status =
            |call: &&RecordedRequest| call.body["variables"]["data"]["status"] == "COMPLETE";
        calls(&all[before..], UPDATE).iter().any(status)
    });
    under_way.await.expect("the final is under way");
    stack.server.kill();
    stack.restart().await;
    assert_in_order(&stack.told(&run, "COMPLETE").await, "COMPLETE");
    settled(&stack).await;
    assert_eq!(count(&stack.emulator.timeline(&run), "COMPLETE"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_goes_out_although_the_old_message_may_not_be_read() {
    let stack = stack_with(&[("parked_retry", "1h")], &model("job", UNTIL_GO, "")).await;
    let run = training(&stack, "job").await;
    let forbidden = Fault::times(READ_BACK, u32::MAX, refusal("AUTHORIZATION_ERROR"));
    stack.emulator.add_fault(forbidden);
    stack.go();
    assert_in_order(&stack.told(&run, "COMPLETE").await, "COMPLETE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_that_may_not_be_read_back_is_told_once_more_and_no_more() {
    let stack = Stack::start(&model("job", UNTIL_GO, "")).await;
    let forbidden = Fault::times(READ_BACK, u32::MAX, refusal("AUTHORIZATION_ERROR"));
    stack.emulator.add_fault(forbidden);
    let run = told_twice(&stack).await;
    told_thrice(&stack, &run).await;
    settled(&stack).await;
    assert_let_alone(&stack, &run, "job").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_deleted_before_its_final_is_read_back_ends_its_reports() {
    let mut stack = before_a_read_back().await;
    let run = told_twice(&stack).await;
    settled(&stack).await;
    stack.emulator.delete_model_run(&run);
    begin_read_back(&mut stack).await;
    stack.server.logged("its reports end").await;
    settled(&stack).await;
}
