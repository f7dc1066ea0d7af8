//! The circle: Labelbox clicks, a job trains, Labelbox learns the truth.

use crate::support::stack::{Stack, UNTIL_GO, job_id, model, statuses, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_click_trains_and_labelbox_is_told_complete() {
    let stack = Stack::start(&model("digits", "echo hello", "")).await;
    let run = stack.new_run();
    let answer = stack.click(&run, "digits").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let timeline = stack.told(&run, "COMPLETE").await;
    let told = statuses(&timeline);
    assert_eq!(told.first(), Some(&"EXPORTING_DATA"), "{told:?}");
    assert_eq!(told.last(), Some(&"COMPLETE"), "{told:?}");
    let job = stack.job(&job_id(&answer));
    assert_eq!(job["job"]["state"], "succeeded");
    assert!(
        stack
            .trainhook(&["jobs", "logs", &job_id(&answer)])
            .contains("hello")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_clicks_at_once_on_one_run_start_one_job() {
    let stack = Stack::start(&model("slow", "echo run >> runs; sleep 1", "")).await;
    let run = stack.new_run();
    let clicks = (0..10).map(|_| stack.click(&run, "slow"));
    let answers = futures_util::future::join_all(clicks).await;
    let mut jobs: Vec<String> = answers.iter().map(job_id).collect();
    jobs.sort();
    jobs.dedup();
    assert_eq!(jobs.len(), 1, "{answers:?}");
    let new = answers
        .iter()
        .filter(|answer| answer.json().expect("JSON")["duplicate"] == false);
    assert_eq!(new.count(), 1);
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["run"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_reaches_labelbox_with_its_reason() {
    let script = "python3 -c 'raise ValueError(\"no labels in class 7\")'";
    let stack = Stack::start(&model("broken", script, "")).await;
    let run = stack.new_run();
    let answer = stack.click(&run, "broken").await;
    let timeline = stack.told(&run, "FAILED").await;
    let message = timeline
        .last()
        .and_then(|entry| entry.error_message.clone())
        .expect("a message");
    assert!(
        message.starts_with("ValueError: no labels in class 7"),
        "{message}"
    );
    assert!(message.contains(&job_id(&answer)), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_while_a_command_runs_finds_it_again() {
    let mut stack = Stack::start(&model("job", UNTIL_GO, "")).await;
    let run = stack.new_run();
    stack.click(&run, "job").await;
    stack.wait_for_lines("runs", 1).await;
    stack.server.kill();
    stack.restart().await;
    stack.go();
    let timeline = stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"], "one run of the command");
    assert_eq!(statuses(&timeline).last(), Some(&"COMPLETE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_between_exit_and_final_report_delivers_it_at_its_next_start() {
    let mut stack = Stack::start(&model("job", UNTIL_GO, "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "TRAINING_MODEL").await;
    stack.server.kill();
    stack.go();
    let record = stack
        .folder
        .path()
        .join("jobs")
        .join(&id)
        .join("a1/exit.json");
    wait_until("the exit record", || record.exists().then_some(())).await;
    stack.restart().await;
    let timeline = stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"], "one run of the command");
    assert_eq!(
        statuses(&timeline)
            .iter()
            .filter(|status| **status == "COMPLETE")
            .count(),
        1
    );
}
