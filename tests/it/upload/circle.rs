//! From what a command left to a COMPLETE, or to a sentence about what is missing.

use std::fs;

use serde_json::json;

use super::{HAND_OVER, assert_whole, line, lines, sizes, start, start_model};
use crate::support::stack::statuses;

#[tokio::test(flavor = "multi_thread")]
async fn predictions_are_imported_before_a_run_is_complete() {
    let stack = start("").await;
    stack.leave(&lines(0..5));
    let (run, id) = stack.click_run().await;
    let timeline = stack.told(&run, "COMPLETE").await;
    assert_eq!(
        statuses(&timeline),
        [
            "EXPORTING_DATA",
            "PREPARING_DATA",
            "TRAINING_MODEL",
            "COMPLETE"
        ]
    );
    let summary = stack.imported(&run);
    assert_whole(&summary, 5);
    assert_eq!(sizes(&summary), [(2, 0), (2, 0), (1, 0)]);
    let job = id.replace('-', "");
    let names: Vec<String> = summary
        .imports
        .iter()
        .map(|import| import.name.clone())
        .collect();
    let wanted: Vec<String> = (1..=3)
        .map(|chunk| format!("th-{job}-u1-c{chunk}"))
        .collect();
    assert_eq!(names, wanted);
    let last = timeline
        .last()
        .and_then(|entry| entry.metadata.clone())
        .expect("metadata");
    assert_eq!(last["lines_imported"], "5");
    assert!(!last.contains_key("lines_refused"));
    let shown = stack.job(&id);
    assert_eq!(shown["imports"][1]["state"], "finished");
    assert_eq!(shown["imports"][1]["refused"], 0);
    let told: Vec<&str> = shown["timeline"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|entry| entry["event"] == "import")
        .filter_map(|entry| entry["detail"].as_str())
        .collect();
    assert_eq!(
        told,
        [
            "chunk 1 of 3 imported: 2 predictions",
            "chunk 2 of 3 imported: 2 predictions",
            "chunk 3 of 3 imported: 1 predictions",
        ]
    );
    let text = stack.trainhook(&["jobs", "show", &id]);
    assert!(text.contains("1  finished         2 predictions"), "{text}");
    // What has arrived takes no room any more.
    crate::support::stack::wait_until("the end of the chunks", || {
        (!stack.server_dir(&id).join("upload").exists()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_that_must_predict_and_does_not_has_failed() {
    for (script, settings, wanted) in [
        (
            "true",
            "",
            "trained, but left no predictions in out/predictions.ndjson",
        ),
        (
            "echo > $TRAINHOOK_OUT_DIR/predictions.ndjson",
            "predictions = \"required\"",
            "trained, but left out/predictions.ndjson empty: the command must write a line for each prediction, or the \
             model have predictions = \"optional\"",
        ),
        (
            "echo [] > $TRAINHOOK_OUT_DIR/coco_results.json",
            "",
            "trained, but left out/coco_results.json, which is read only if the model's formats name \"coco\": name it \
             there and train again, or have the command write out/predictions.ndjson",
        ),
        (
            "mkdir -p $TRAINHOOK_OUT_DIR/yolo/labels; : > $TRAINHOOK_OUT_DIR/predictions.ndjson",
            "",
            "trained, but left out/yolo/labels, which is read only if the model's formats name \"yolo\": name it there \
             and train again, or have the command write out/predictions.ndjson",
        ),
        (
            "ln -s /etc/passwd $TRAINHOOK_OUT_DIR/predictions.ndjson",
            "",
            "trained, but out/predictions.ndjson cannot be read: Too many levels of symbolic links (os error 40)",
        ),
        (
            "mkfifo $TRAINHOOK_OUT_DIR/predictions.ndjson",
            "predictions = \"optional\"",
            "trained, but out/predictions.ndjson cannot be read: predictions.ndjson is not a regular file",
        ),
    ] {
        let stack = start_model(script, settings).await;
        let (run, id) = stack.click_run().await;
        let reason = stack.failed(&run).await;
        assert_eq!(reason, format!("{wanted} (job {id})"));
        assert_eq!(stack.job(&id)["job"]["cause"], "upload_failed");
        assert!(stack.imported(&run).imports.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_that_need_not_predict_is_complete_without() {
    for (script, settings) in [
        ("true", "predictions = \"optional\""),
        (
            "touch $TRAINHOOK_OUT_DIR/predictions.ndjson",
            "predictions = \"optional\"",
        ),
        // Nobody looks at them.
        (
            "echo broken > $TRAINHOOK_OUT_DIR/predictions.ndjson",
            "predictions = \"none\"",
        ),
    ] {
        let stack = start_model(script, settings).await;
        let (run, _) = stack.click_run().await;
        stack.told(&run, "COMPLETE").await;
        assert!(stack.imported(&run).imports.is_empty());
    }
    let stack = start("predictions = \"optional\"").await;
    stack.leave(&[line(3)]);
    let (run, _) = stack.click_run().await;
    stack.told(&run, "COMPLETE").await;
    assert_whole(&stack.imported(&run), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_command_measured_and_made_stands_in_labelbox() {
    let script = format!(
        "{HAND_OVER}; cp metrics.json artifacts.json $TRAINHOOK_OUT_DIR/; \
         $TRAINHOOK_BIN event metric loss=0.5 accuracy=0.1"
    );
    let stack = start_model(&script, "").await;
    let write = |name: &str, content: serde_json::Value| {
        fs::write(stack.folder.path().join(name), content.to_string()).expect("writable");
    };
    write(
        "metrics.json",
        json!({"accuracy": 0.93, "name": "x", "epochs": 3}),
    );
    write(
        "artifacts.json",
        json!({"weights": "s3://bucket/w.pt", "n": 3}),
    );
    stack.leave(&[
        line(0),
        json!({"global_key": "row-000000001", "metricName": "own", "metricValue": [1, 0, 0, 2]}),
    ]);
    let (run, _) = stack.click_run().await;
    stack.told(&run, "COMPLETE").await;
    let summary = stack.imported(&run);
    assert_eq!((summary.predictions, summary.metrics), (1, 1));
    let metadata = stack
        .emulator
        .pipeline(&run)
        .and_then(|pipeline| pipeline.metadata);
    let metadata = metadata.expect("metadata");
    for (key, value) in [
        ("accuracy", "0.93"),
        ("epochs", "3"),
        ("loss", "0.5"),
        ("weights", "s3://bucket/w.pt"),
        ("lines_imported", "2"),
    ] {
        assert_eq!(metadata[key], value, "{key}");
    }
    assert!(!metadata.contains_key("name") && !metadata.contains_key("n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_metrics_that_are_none_do_no_harm() {
    let script = format!(
        "{HAND_OVER}; echo '[1]' > $TRAINHOOK_OUT_DIR/metrics.json; ln -s /etc/passwd $TRAINHOOK_OUT_DIR/artifacts.json"
    );
    let stack = start_model(&script, "").await;
    stack.leave(&[line(0)]);
    let (run, _) = stack.click_run().await;
    stack.told(&run, "COMPLETE").await;
    assert_whole(&stack.imported(&run), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_understood_of_a_commands_words_is_counted() {
    let script = format!(
        "{HAND_OVER}; cp metrics.json artifacts.json $TRAINHOOK_OUT_DIR/; \
         cat events >> $TRAINHOOK_JOB_DIR/events.ndjson"
    );
    let stack = start_model(&script, "").await;
    let (unknown, long) = (json!({"type": "metrc"}), "x".repeat(70_000));
    let known = json!({"type": "metric", "name": "loss", "value": 0.5});
    for (name, text) in [
        ("events", format!("{unknown}\n\n{long}\n{known}\n")),
        (
            "metrics.json",
            json!({"accuracy": 0.5, "name": "x"}).to_string(),
        ),
        ("artifacts.json", json!([1]).to_string()),
    ] {
        fs::write(stack.folder.path().join(name), text).expect("writable");
    }
    stack.leave(&[line(0)]);
    let (run, id) = stack.click_run().await;
    stack.told(&run, "COMPLETE").await;
    let progress = &stack.job(&id)["job"]["progress"];
    assert_eq!(
        progress["skipped"],
        json!({"events.ndjson": 2, "out/metrics.json": 1, "out/artifacts.json": 1})
    );
    assert_eq!(progress["metrics"]["loss"], 0.5);
    let shown = stack.trainhook(&["jobs", "show", &id]);
    assert!(shown.contains("2 of events.ndjson"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_are_counted_for_whoever_watches() {
    let stack = start("max_row_errors = 1").await;
    stack.leave(&[line(0), line(1), json!({"global_key": "row-000000002"})]);
    let (run, _) = stack.click_run().await;
    stack.told(&run, "COMPLETE").await;
    let info = stack.server.info();
    let token = fs::read_to_string(stack.folder.path().join("state/admin.token")).expect("a token");
    let url = format!(
        "http://{}/metrics",
        info["admin"].as_str().expect("an address")
    );
    let page = reqwest::Client::new()
        .get(url)
        .bearer_auth(token.trim())
        .send()
        .await;
    let page = page.expect("answered").text().await.expect("text");
    for line in [
        "trainhook_imports_total{outcome=\"finished\"} 1",
        "trainhook_predictions_total{outcome=\"imported\"} 2",
        "trainhook_predictions_total{outcome=\"rejected\"} 1",
    ] {
        assert!(page.lines().any(|other| other == line), "{line} in\n{page}");
    }
}
