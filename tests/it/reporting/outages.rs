//! Labelbox is down, or hangs, and comes back: nothing is lost, nothing else waits.

use std::sync::LazyLock;

use trainhook::emulator::{Fault, FaultKind};

use super::{
    ASK, UPDATE, assert_in_order, calls, count, down, settled, stack_with, status, training,
};
use crate::support::stack::{LIMIT, Stack, UNTIL_GO, model};

/// A model that runs until it is let go, and one that is over at once.
static MODELS: LazyLock<String> = LazyLock::new(|| {
    [
        model("slow", UNTIL_GO, ""),
        model("quick", "echo quick >> runs", ""),
    ]
    .concat()
});

/// Longer than any test.
const FOR_EVER: FaultKind = FaultKind::Hang {
    milliseconds: 600_000,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_ends_while_labelbox_is_down_and_is_told_when_it_is_back() {
    let stack = Stack::start(&MODELS).await;
    let run = training(&stack, "slow").await;
    stack.emulator.add_fault(down(status(500, &[])));
    stack.go();
    back_after_the_end(&stack).await;
    assert_in_order(&stack.told(&run, "COMPLETE").await, "COMPLETE");
    settled(&stack).await;
    assert_eq!(count(&stack.emulator.timeline(&run), "COMPLETE"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_that_waited_is_merged_and_the_final_goes_out_by_itself() {
    let stack = Stack::start(&MODELS).await;
    let run = stack.new_run();
    stack
        .emulator
        .add_fault(Fault::times(UPDATE, u32::MAX, FaultKind::DropBefore));
    stack.click(&run, "quick").await;
    back_after_the_end(&stack).await;
    let timeline = stack.told(&run, "COMPLETE").await;
    assert_in_order(&timeline, "COMPLETE");
    assert_eq!(timeline.len(), 2, "{timeline:?}");
    settled(&stack).await;
    let states: Vec<_> = super::reports(&stack, true)
        .iter()
        .map(|report| report["state"].clone())
        .collect();
    assert!(
        states
            .iter()
            .all(|state| state == "delivered" || state == "merged"),
        "{states:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_while_labelbox_is_down_trains_when_it_is_back() {
    let stack = Stack::start(&MODELS).await;
    let run = stack.new_run();
    stack.emulator.add_fault(down(status(503, &[])));
    assert_eq!(stack.click(&run, "quick").await.status, 200);
    stack
        .server
        .logged("Labelbox cannot be asked about the run")
        .await;
    assert!(stack.lines("runs").is_empty());
    stack.emulator.clear_faults();
    assert_in_order(&stack.told(&run, "COMPLETE").await, "COMPLETE");
    assert_eq!(stack.lines("runs"), ["quick"]);
}

/// Labelbox is back when the one job has ended, and could not be told.
async fn back_after_the_end(stack: &Stack) {
    for words in [
        "the attempt is over, the job is succeeded",
        "Labelbox cannot be told yet",
    ] {
        stack.server.logged(words).await;
    }
    stack.emulator.clear_faults();
}

/// Labelbox never answers the first call of `operation`; returns the run that it was about, when another
/// run's job has come to its end all the same.
async fn with_one_hanging(stack: &Stack, operation: &'static str) -> String {
    let (hanging, other) = (stack.new_run(), stack.new_run());
    stack.emulator.add_fault(Fault::once(operation, FOR_EVER));
    stack.click(&hanging, "quick").await;
    let asked = stack
        .emulator
        .wait_for_requests(LIMIT, |all| !calls(all, operation).is_empty());
    asked.await.expect("the call that hangs");
    stack.click(&other, "quick").await;
    assert_in_order(&stack.told(&other, "COMPLETE").await, "COMPLETE");
    hanging
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_hangs_delays_its_own_job_alone() {
    let mut stack = stack_with(&[("timeout", "10m")], &MODELS).await;
    let run = with_one_hanging(&stack, ASK).await;
    assert_eq!(stack.lines("runs").len(), 1, "the other's");
    // A server that starts anew asks anew.
    stack.server.kill();
    stack.restart().await;
    assert_in_order(&stack.told(&run, "COMPLETE").await, "COMPLETE");
    assert_eq!(stack.lines("runs").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_hangs_delays_no_other_run_and_no_training() {
    let mut stack = stack_with(&[("timeout", "10m")], &MODELS).await;
    let run = with_one_hanging(&stack, UPDATE).await;
    stack.wait_for_lines("runs", 2).await;
    assert!(stack.emulator.timeline(&run).is_empty());
    stack.server.kill();
    stack.restart().await;
    assert_in_order(&stack.told(&run, "COMPLETE").await, "COMPLETE");
}
