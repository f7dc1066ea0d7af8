//! Labelbox wants fewer calls: it is left alone for as long as it says.

use std::time::Duration;

use trainhook::emulator::{Fault, RecordedRequest};

use super::{ASK, UPDATE, assert_in_order, calls, status};
use crate::support::stack::{Stack, model, wait_until};

/// What the emulator asks for, in seconds; longer than the first wait of the server's own back-off.
const RETRY_AFTER: &str = "3";

/// The same, less what is lost where times are kept in milliseconds.
const WAIT: Duration = Duration::from_millis(2990);

/// No call came while the first one's answer asked for quiet.
fn assert_quiet_after_the_first(calls: &[&RecordedRequest]) {
    let [first, later @ ..] = calls else {
        panic!("no calls")
    };
    assert!(!later.is_empty());
    for call in later {
        let waited = Duration::try_from(call.at.duration_since(first.at));
        assert!(waited.expect("it is later") >= WAIT, "{first:?} {call:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_quiets_the_reports_of_the_whole_workspace() {
    let stack = Stack::start(&model("quick", "true", "")).await;
    let (first, second) = (stack.new_run(), stack.new_run());
    let limited = status(429, &[("retry-after", RETRY_AFTER)]);
    stack.emulator.add_fault(Fault::once(UPDATE, limited));
    stack.click(&first, "quick").await;
    let noted = || {
        super::reports(&stack, false)
            .pop()
            .filter(|report| report["failures"] == 1)
    };
    wait_until("the limit to be noted", noted).await;
    stack.click(&second, "quick").await;
    for run in [&first, &second] {
        assert_in_order(&stack.told(run, "COMPLETE").await, "COMPLETE");
    }
    assert_quiet_after_the_first(&calls(&stack.emulator.requests(), UPDATE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_quiets_the_question_about_a_run() {
    let stack = Stack::start(&model("quick", "true", "")).await;
    let run = stack.new_run();
    let limited = status(429, &[("retry-after", RETRY_AFTER)]);
    stack.emulator.add_fault(Fault::once(ASK, limited));
    stack.click(&run, "quick").await;
    assert_in_order(&stack.told(&run, "COMPLETE").await, "COMPLETE");
    assert_quiet_after_the_first(&calls(&stack.emulator.requests(), ASK));
}
