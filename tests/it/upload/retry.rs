//! `jobs retry-upload`: what was not taken is sent, and nothing is trained again.

use serde_json::json;
use trainhook::emulator::{Fault, FaultKind};

use super::{
    HAND_OVER, POST, RESULTS, assert_whole, fails, line, lines, sizes, start, start_model, status,
};
use crate::support::stack::{Stack, statuses, trainhook_in, wait_until};

/// Why the job's predictions are not uploaded again.
fn refused(stack: &Stack, id: &str) -> String {
    let output = trainhook_in(stack.folder.path(), &["jobs", "retry-upload", id]);
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Notes each training.
const NOTED: &str = "echo x >> trainings; cp predictions.ndjson $TRAINHOOK_OUT_DIR/";

impl Stack {
    /// Clicks on a run whose first import comes to nothing; answers the run and the job.
    async fn click_run_that_fails(&self) -> (String, String) {
        self.emulator.add_fault(Fault::once(POST, fails("no luck")));
        let (run, id) = self.click_run().await;
        self.failed(&run).await;
        (run, id)
    }

    /// The upload of what the job left fails, because of how its training ended.
    async fn assert_not_uploaded(&self, (run, id): (&str, &str), how: &str) {
        let again = self.retry_upload(id);
        self.ended(&again).await;
        assert_eq!(
            self.job(&again)["job"]["message"],
            format!(
                "the training of job {id} did not end well ({how}), so its predictions are not uploaded: train \
                 again with `trainhook jobs retry`"
            )
        );
        assert!(self.imported(run).imports.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_import_that_failed_the_rest_is_sent() {
    let stack = start_model(NOTED, "").await;
    stack.leave(&lines(0..5));
    stack
        .emulator
        .add_fault(Fault::once(POST, FaultKind::Delay { milliseconds: 0 }));
    let fails = fails("no luck");
    stack.emulator.add_fault(Fault::once(POST, fails));
    let (run, id) = stack.click_run().await;
    stack.failed(&run).await;
    let retried = stack.retry_upload(&id);
    let timeline = stack.told(&run, "COMPLETE").await;
    assert_eq!(
        statuses(&timeline[timeline.len() - 3..]),
        ["EXPORTING_DATA", "TRAINING_MODEL", "COMPLETE"]
    );
    let summary = stack.imported(&run);
    assert_eq!((summary.predictions, summary.repeated_imports), (5, 0));
    let of_retried = summary
        .imports
        .iter()
        .filter(|import| import.name.contains(&retried.replace('-', "")));
    assert_eq!(
        of_retried.map(|import| import.lines).collect::<Vec<_>>(),
        [2, 1]
    );
    assert_eq!(stack.lines("trainings").len(), 1);
    let job = stack.job(&retried);
    assert_eq!(job["job"]["kind"], "upload");
    assert_eq!(job["job"]["parent"], id);
    let metadata = timeline
        .last()
        .and_then(|entry| entry.metadata.clone())
        .expect("metadata");
    assert_eq!(
        metadata["lines_imported"], "5",
        "those of the first job count"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_labelbox_refused_are_sent_once_more() {
    let stack = start_model(NOTED, "").await;
    stack.leave(&lines(0..5));
    let every = FaultKind::RefusesEvery { lines: 2 };
    stack.emulator.add_fault(Fault::times(POST, 2, every));
    let (run, id) = stack.click_run().await;
    stack.failed(&run).await;
    let retried = stack.retry_upload(&id);
    stack.told(&run, "COMPLETE").await;
    let summary = stack.imported(&run);
    assert_eq!((summary.predictions, summary.repeated_imports), (5, 0));
    assert_eq!(sizes(&summary), [(2, 1), (2, 1), (1, 0), (2, 0)]);
    assert!(stack.rejected(&retried).is_empty());
    assert_eq!(stack.rejected(&id).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_under_way_is_found_not_repeated() {
    let stack = start("upload_timeout = \"3s\"").await;
    stack.leave(&lines(0..3));
    stack
        .emulator
        .add_fault(Fault::once(POST, FaultKind::Takes { milliseconds: 5000 }));
    let (run, id) = stack.click_run().await;
    stack.failed(&run).await;
    wait_until("the end of the import", || {
        let imports = stack.imported(&run).imports;
        (imports[0].state == "FINISHED").then_some(())
    })
    .await;
    stack.retry_upload(&id);
    stack.told(&run, "COMPLETE").await;
    assert_whole(&stack.imported(&run), 3);
    assert_eq!(sizes(&stack.imported(&run)), [(2, 0), (1, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_could_not_be_read_are_read_again() {
    let stack = start("").await;
    stack.leave(&lines(0..2));
    stack
        .emulator
        .add_fault(Fault::times(RESULTS, 100, status(404)));
    let (run, id) = stack.click_run().await;
    stack.failed(&run).await;
    stack.emulator.clear_faults();
    stack.retry_upload(&id);
    stack.told(&run, "COMPLETE").await;
    assert_whole(&stack.imported(&run), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_another_tolerance_what_was_written_is_read_again() {
    let stack = start_model(NOTED, "").await;
    let mut predictions = lines(0..3);
    predictions[1] = json!({"global_key": "nowhere", "name": "kind", "answer": "kind-a"});
    stack.leave(&predictions);
    let (run, id) = stack.click_run().await;
    stack.failed(&run).await;
    // With the same tolerance it fails in the same way.
    let again = stack.retry_upload(&id);
    stack.ended(&again).await;
    let message = stack.job(&again)["job"]["message"].clone();
    assert!(
        message
            .as_str()
            .expect("a reason")
            .starts_with("trained, but 1 of 3 predictions was refused")
    );
    let file = stack.folder.path().join("models.toml");
    let text = std::fs::read_to_string(&file).expect("readable");
    std::fs::write(
        &file,
        text.replace("import_lines = 2", "import_lines = 2\nmax_row_errors = 1"),
    )
    .expect("writable");
    stack.trainhook(&["check"]);
    let pid = stack.server.child.id().to_string();
    let told = std::process::Command::new("kill")
        .args(["-HUP", &pid])
        .status();
    assert!(told.expect("kill is there").success());
    stack.server.logged("the settings were read again").await;
    // Also by way of the upload that failed.
    stack.retry_upload(&again);
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.imported(&run).predictions, 2);
    assert_eq!(stack.lines("trainings").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_trained_is_uploaded_after_its_upload_was_cancelled() {
    let stack = start("").await;
    stack.leave(&[line(0)]);
    stack
        .emulator
        .add_fault(Fault::times(POST, 100, status(503)));
    let (run, id) = stack.click_run().await;
    stack
        .imports_are(&id, "a frozen chunk", |states| !states.is_empty())
        .await;
    stack.trainhook(&["jobs", "cancel", &id]);
    stack.failed(&run).await;
    stack.emulator.clear_faults();
    stack.retry_upload(&id);
    stack.told(&run, "COMPLETE").await;
    assert_whole(&stack.imported(&run), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_training_left_that_was_cancelled_is_not_uploaded() {
    let script = format!("{HAND_OVER}; echo up > up; sleep 60");
    let stack = start_model(&script, "").await;
    stack.leave(&[line(0)]);
    let (run, id) = stack.click_run().await;
    stack.wait_for_lines("up", 1).await;
    stack.trainhook(&["jobs", "cancel", &id]);
    stack.failed(&run).await;
    stack.assert_not_uploaded((&run, &id), "cancelled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_training_left_that_failed_is_not_uploaded() {
    let stack = start_model(&format!("{HAND_OVER}; exit 3"), "").await;
    stack.leave(&[line(0)]);
    let (run, id) = stack.click_run().await;
    stack.failed(&run).await;
    stack.assert_not_uploaded((&run, &id), "job_error").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_predictions_there_is_nothing_to_upload() {
    let stack = start_model("exit 0", "").await;
    let (run, id) = stack.click_run().await;
    stack.failed(&run).await;
    let again = stack.retry_upload(&id);
    stack.ended(&again).await;
    assert_eq!(
        stack.job(&again)["job"]["message"],
        format!("job {id} left no predictions in out/predictions.ndjson")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_arrived_or_is_on_its_way_is_not_uploaded_again() {
    let stack = start("").await;
    stack.leave(&[line(0)]);
    stack
        .emulator
        .add_fault(Fault::once(POST, FaultKind::Takes { milliseconds: 2000 }));
    let (run, id) = stack.click_run().await;
    assert!(refused(&stack, &id).contains("has not ended yet"));
    stack.told(&run, "COMPLETE").await;
    assert!(refused(&stack, &id).contains("Labelbox has the predictions"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_job_has_uploaded_is_not_uploaded_again() {
    let stack = start("").await;
    stack.leave(&lines(0..5));
    let (run, id) = stack.click_run_that_fails().await;
    stack
        .emulator
        .add_fault(Fault::once(POST, FaultKind::Takes { milliseconds: 2000 }));
    let first = stack.retry_upload(&id);
    assert!(refused(&stack, &id).contains(&format!("{first} has not ended yet")));
    stack.told(&run, "COMPLETE").await;
    let why = refused(&stack, &id);
    assert!(why.contains(&format!("{first} has succeeded")), "{why}");
    let summary = stack.imported(&run);
    assert_eq!((summary.predictions, summary.repeated_imports), (5, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_retry_sends_only_what_the_first_did_not() {
    let stack = start("").await;
    stack.leave(&lines(0..5));
    let (run, id) = stack.click_run_that_fails().await;
    stack
        .emulator
        .add_fault(Fault::once(POST, FaultKind::Delay { milliseconds: 0 }));
    stack
        .emulator
        .add_fault(Fault::once(POST, fails("no luck")));
    let first = stack.retry_upload(&id);
    stack.ended(&first).await;
    assert_eq!(stack.imported(&run).predictions, 2);
    let second = stack.retry_upload(&id);
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.job(&second)["job"]["parent"], first);
    let summary = stack.imported(&run);
    assert_eq!((summary.predictions, summary.repeated_imports), (5, 0));
    let of_second = summary
        .imports
        .iter()
        .filter(|import| import.name.contains(&second.replace('-', "")));
    assert_eq!(
        of_second.map(|import| import.lines).collect::<Vec<_>>(),
        [2, 1]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_two_steps_of_a_retry_changes_nothing() {
    let mut stack = start_model(NOTED, "").await;
    stack.leave(&lines(0..5));
    let fails = fails("no luck");
    stack.emulator.add_fault(Fault::once(POST, fails));
    let (run, id) = stack.click_run().await;
    stack.failed(&run).await;
    stack.emulator.add_fault(Fault::once(
        POST,
        FaultKind::Hang {
            milliseconds: 60_000,
        },
    ));
    let retried = stack.retry_upload(&id);
    stack
        .imports_are(&retried, "a chunk on its way", |states| {
            states.first().is_some_and(|state| state == "posting")
        })
        .await;
    stack.server.kill();
    stack.restart().await;
    stack.told(&run, "COMPLETE").await;
    let summary = stack.imported(&run);
    assert_eq!((summary.predictions, summary.repeated_imports), (5, 0));
}
