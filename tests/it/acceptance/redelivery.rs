//! The same request again: while its job lives, within the window, after it, and after a failure.

use crate::support::{
    clicks::{accepted, body_for, post},
    stack::{Stack, UNTIL_GO, model, settings, workspace},
};

const SUCCEEDS: &str = "echo run >> runs";

/// A stack with a model `digits`, which takes the same body for a redelivery during `window`.
async fn stack_with(window: &str, script: &str) -> Stack {
    Stack::start_whole(|endpoint| {
        let window = format!("[server]\nredelivery_window = \"{window}\"");
        let settings = settings().replace("[server]", &window);
        let executor = "[executors.local]\nkind = \"local\"\n";
        let models = model("digits", script, "");
        format!(
            "{settings}{}{executor}{models}",
            workspace("main", "/", endpoint)
        )
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_while_the_job_lives_answers_with_it() {
    let stack = stack_with("1ms", UNTIL_GO).await;
    let run = stack.new_run();
    let body = body_for(&run, "digits");
    let (first, duplicate) = accepted(&post(&stack, &body).await);
    assert!(!duplicate);
    stack.wait_for_lines("runs", 1).await;
    for repeat in [body.clone(), body.replace(':', " : ")] {
        assert_eq!(
            accepted(&post(&stack, &repeat).await),
            (first.clone(), true)
        );
    }
    stack.go();
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"], "one run of the command");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redelivery_within_the_window_answers_with_the_job_that_has_ended() {
    let stack = stack_with("1h", SUCCEEDS).await;
    let run = stack.new_run();
    let body = body_for(&run, "digits");
    let (first, _) = accepted(&post(&stack, &body).await);
    stack.told(&run, "COMPLETE").await;
    let answer = post(&stack, &body).await;
    assert_eq!(accepted(&answer), (first.clone(), true));
    assert_eq!(answer.json()["state"], "succeeded");
    // Another body is another click: it begins a job, whose end comes after any redelivery's would.
    let click = body.replace(':', " : ");
    let (second, duplicate) = accepted(&post(&stack, &click).await);
    assert!(!duplicate && second != first);
    stack.wait_for_lines("runs", 2).await;
    assert_eq!(super::jobs(&stack).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_body_after_the_window_begins_a_new_job() {
    let stack = stack_with("1ms", SUCCEEDS).await;
    let run = stack.new_run();
    let body = body_for(&run, "digits");
    let (first, _) = accepted(&post(&stack, &body).await);
    stack.told(&run, "COMPLETE").await;
    let (second, duplicate) = accepted(&post(&stack, &body).await);
    assert!(!duplicate && second != first);
    stack.wait_for_lines("runs", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redelivery_of_what_failed_begins_a_new_job_at_once() {
    let stack = stack_with("1h", "echo run >> runs; [ -e go ]").await;
    let run = stack.new_run();
    let body = body_for(&run, "digits");
    let (first, _) = accepted(&post(&stack, &body).await);
    stack.told(&run, "FAILED").await;
    stack.go();
    let (second, duplicate) = accepted(&post(&stack, &body).await);
    assert!(!duplicate && second != first);
    stack.told(&run, "COMPLETE").await;
    // Now the body's last job has not failed, so it is a redelivery again.
    assert_eq!(accepted(&post(&stack, &body).await), (second, true));
    assert_eq!(stack.lines("runs").len(), 2);
}
