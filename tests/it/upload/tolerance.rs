//! How many predictions may be refused, by us or by Labelbox, before a run is FAILED.

use serde_json::json;
use trainhook::emulator::{Fault, FaultKind};

use super::{HAND_OVER, POST, line, lines, sizes, start, start_model};

#[tokio::test(flavor = "multi_thread")]
async fn too_many_rejected_lines_end_a_job_before_anything_is_sent() {
    let stack = start("").await;
    let mut predictions = lines(0..5);
    predictions[2] = json!({"global_key": "row-000000002", "name": "sort", "answer": "kind-a"});
    stack.leave(&predictions);
    let (run, id) = stack.click_run().await;
    let reason = stack.failed(&run).await;
    assert!(
        reason.starts_with("trained, but 1 of 5 predictions was refused: line 3: the ontology has no feature \"sort\""),
        "{reason}"
    );
    assert!(stack.imported(&run).imports.is_empty());
    let listed = stack.rejected(&id);
    assert_eq!(
        (listed.len(), &listed[0]["line"], &listed[0]["by"]),
        (1, &json!(3), &json!("trainhook"))
    );
    assert!(!stack.server_dir(&id).join("upload").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_rejected_for_the_same_reason_are_counted() {
    let stack = start("").await;
    let mut predictions = lines(0..5);
    predictions[0]["confidence"] = json!(7);
    for line in [2, 4] {
        predictions[line]["name"] = json!("sort");
    }
    stack.leave(&predictions);
    let (run, _) = stack.click_run().await;
    let reason = stack.failed(&run).await;
    let counted =
        "trained, but 3 of 5 predictions were refused: 2 × the ontology has no feature \"sort\"";
    assert!(reason.starts_with(counted), "{reason}");
    assert!(
        reason.contains("(line 3 is the first); line 1: "),
        "{reason}"
    );
    let listed = "all are listed in server/predictions.rejected.ndjson";
    assert!(reason.contains(listed), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_very_many_rejected_lines_all_are_counted_and_the_first_are_listed() {
    let stack = start("").await;
    let mut wrong = line(0);
    wrong["name"] = json!("sort");
    let mut predictions = vec![wrong; 100_010];
    predictions[0]["confidence"] = json!(7);
    predictions[0]["name"] = json!("kind");
    stack.leave(&predictions);
    let (run, id) = stack.click_run().await;
    stack.failed(&run).await;
    let message = stack.job(&id)["job"]["message"].clone();
    assert_eq!(
        message,
        "trained, but 100010 of 100010 predictions were refused: 100009 × the ontology has no feature \"sort\"; there are: \"kind\" (line 2 is \
         the first); line 1: confidence must be from 0 to 1, not 7; the first 100000 are listed in \
         server/predictions.rejected.ndjson"
    );
    let listed = stack.rejected(&id);
    assert_eq!(listed.len(), 100_000);
    assert_eq!(
        listed[99_999]["reason"],
        "the ontology has no feature \"sort\"; there are: \"kind\""
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_may_be_refused_by_anybody() {
    let stack = start("max_row_errors = \"50%\"").await;
    let mut predictions = lines(0..6);
    predictions[0]["confidence"] = json!(7);
    stack.leave(&predictions);
    let every = FaultKind::RefusesEvery { lines: 2 };
    stack.emulator.add_fault(Fault::times(POST, 2, every));
    let (run, id) = stack.click_run().await;
    let timeline = stack.told(&run, "COMPLETE").await;
    let summary = stack.imported(&run);
    assert_eq!(sizes(&summary), [(2, 1), (2, 1), (1, 0)]);
    assert_eq!(summary.predictions, 3);
    let metadata = timeline
        .last()
        .and_then(|entry| entry.metadata.clone())
        .expect("metadata");
    assert_eq!(
        (&metadata["lines_imported"], &metadata["lines_refused"]),
        (&json!("3"), &json!("3"))
    );
    let listed = stack.rejected(&id);
    let lines: Vec<(&str, u64)> = listed
        .iter()
        .map(|problem| {
            (
                problem["by"].as_str().unwrap_or_default(),
                problem["line"].as_u64().unwrap_or_default(),
            )
        })
        .collect();
    assert_eq!(lines, [("trainhook", 1), ("labelbox", 3), ("labelbox", 5)]);
    assert_eq!(listed[1]["reason"], "refused on demand");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_are_refused_no_tolerance_makes_a_success() {
    let stack = start("max_row_errors = 100").await;
    let mut wrong = lines(0..2);
    for line in &mut wrong {
        line["name"] = json!("sort");
    }
    stack.leave(&wrong);
    let (run, _) = stack.click_run().await;
    let reason = stack.failed(&run).await;
    let all = "trained, but 2 of 2 predictions were refused: ";
    assert!(reason.starts_with(all), "{reason}");
    stack.leave(&lines(0..2));
    let every = FaultKind::RefusesEvery { lines: 1 };
    stack.emulator.add_fault(Fault::once(POST, every));
    let (run, _) = stack.click_run().await;
    let reason = stack.failed(&run).await;
    assert!(reason.starts_with(all), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_command_does_to_its_own_ontology_refuses_nothing() {
    let script = format!("rm $TRAINHOOK_ONTOLOGY_FILE; {HAND_OVER}");
    let stack = start_model(&script, "").await;
    stack.leave(&lines(0..2));
    let (run, _) = stack.click_run().await;
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.imported(&run).predictions, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_that_labelbox_refuses_are_a_failure() {
    let stack = start("max_row_errors = 1").await;
    stack.leave(&lines(0..4));
    let every = FaultKind::RefusesEvery { lines: 2 };
    stack.emulator.add_fault(Fault::times(POST, 2, every));
    let (run, id) = stack.click_run().await;
    let reason = stack.failed(&run).await;
    assert_eq!(
        reason,
        format!(
            "trained, but 2 of 4 predictions were refused: line 2: refused on demand; line 4: refused on demand; all are \
             listed in server/predictions.rejected.ndjson (job {id})"
        )
    );
    assert_eq!(stack.imported(&run).predictions, 2);
    let timeline = stack.emulator.timeline(&run);
    let metadata = timeline.last().and_then(|entry| entry.metadata.clone());
    let metadata = metadata.expect("metadata");
    assert_eq!(
        (&metadata["lines_imported"], &metadata["lines_refused"]),
        (&json!("2"), &json!("2"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prediction_of_which_labelbox_says_nothing_was_not_taken() {
    let stack = start("").await;
    // The same uuid in two chunks: the emulator refuses the second one, which we cannot know before.
    let mut predictions = lines(0..3);
    predictions[1] = line(1);
    stack.leave(&predictions);
    let empty = FaultKind::Status {
        status: 200,
        body: Some(json!({"uuid": "x", "status": "SUCCESS"})),
        headers: Vec::new(),
    };
    stack.emulator.add_fault(Fault::once(super::RESULTS, empty));
    let (run, _) = stack.click_run().await;
    let reason = stack.failed(&run).await;
    assert!(
        reason.starts_with("trained, but 2 of 3 predictions were refused: line 1: Labelbox does not say what became of it"),
        "{reason}"
    );
}
