//! Clicks that become no job, and say why.

use super::jobs;
use crate::support::{
    clicks::{accepted, body_for, post},
    stack::{Stack, UNTIL_GO, model},
};

#[tokio::test(flavor = "multi_thread")]
async fn another_model_for_a_run_that_trains_is_refused_with_the_reason() {
    let other = model("other", "echo other >> others", "title = \"The other\"");
    let first = model("first", UNTIL_GO, "title = \"The first\"");
    let stack = Stack::start(&format!("{first}{other}")).await;
    let run = stack.new_run();
    let (id, _) = accepted(&post(&stack, &body_for(&run, "The first")).await);
    let refusal = post(&stack, &body_for(&run, "The other")).await;
    assert_eq!(
        (refusal.status, refusal.error_code().as_str()),
        (409, "other_model")
    );
    let reason = refusal.json()["error"]["message"].to_string();
    assert!(
        reason.contains(&id) && reason.contains("The first"),
        "{reason}"
    );
    assert_eq!(jobs(&stack).len(), 1);
    stack.go();
    stack.told(&run, "COMPLETE").await;
    assert!(stack.lines("others").is_empty());
    let (second, duplicate) = accepted(&post(&stack, &body_for(&run, "The other")).await);
    assert!(!duplicate && second != id);
    stack.wait_for_lines("others", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_model_is_refused_with_the_names_of_those_that_exist() {
    let models = ["digits", "letters"].map(|slug| model(slug, "true", ""));
    let stack = Stack::start(&models.concat()).await;
    let refusal = post(&stack, &body_for(&stack.new_run(), "numbers")).await;
    assert_eq!(
        (refusal.status, refusal.error_code().as_str()),
        (404, "unknown_model_type")
    );
    let reason = refusal.json()["error"]["message"].to_string();
    for name in ["numbers", "digits", "letters"] {
        assert!(reason.contains(name), "{reason}");
    }
    assert!(jobs(&stack).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_over_a_spending_limit_gets_429_and_the_reason() {
    let limit = "max_starts_per_day = 1";
    let stack = Stack::start(&model("digits", "true", limit)).await;
    let run = stack.new_run();
    accepted(&post(&stack, &body_for(&run, "digits")).await);
    let refusal = post(&stack, &body_for(&stack.new_run(), "digits")).await;
    assert_eq!(
        (refusal.status, refusal.error_code().as_str()),
        (429, "too_many")
    );
    let reason = refusal.json()["error"]["message"].to_string();
    assert!(reason.contains("max_starts_per_day"), "{reason}");
    // Whoever runs the server is not held up.
    let other = stack.new_run();
    stack.trainhook(&["start", "digits", "--model-run", &other]);
    stack.told(&other, "COMPLETE").await;
}
