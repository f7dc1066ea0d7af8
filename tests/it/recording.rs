//! `serve --record`: what was exchanged, for a report about a bug, and no secret in it.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::Value;

use crate::support::{
    clicks::post,
    stack::{API_KEY, SECRET, Stack, model, wait_until},
};

/// The only recording of the stack, and its lines.
fn recording(stack: &Stack) -> (fs::Metadata, Vec<Value>) {
    let folder = fs::read_dir(stack.folder.path().join("exchanges")).expect("a folder");
    let files: Vec<_> = folder.map(|file| file.expect("a file").path()).collect();
    let [file] = files.as_slice() else {
        panic!("{files:?}")
    };
    let text = fs::read_to_string(file).expect("a recording");
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"));
    (fs::metadata(file).expect("a file"), lines.collect())
}

#[tokio::test]
async fn both_sides_are_recorded_and_no_secret() {
    let mut stack = Stack::start(&model("quick", "true", "")).await;
    stack.restart_with(&["--record", "exchanges"]).await;
    let run = stack.new_run();
    stack.click(&run, "quick").await;
    assert_eq!(
        post(&stack, "no JSON: https://bucket/file?signature=abc here")
            .await
            .status,
        400
    );
    stack.told(&run, "COMPLETE").await;
    let complete = |line: &Value| {
        line["reply"]["body"].to_string().contains("COMPLETE") && line["sent_by"] == "trainhook"
    };
    wait_until("the last report's record", || {
        recording(&stack).1.iter().any(complete).then_some(())
    })
    .await;

    let (metadata, lines) = recording(&stack);
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let text = format!("{lines:?}");
    for secret in [SECRET, API_KEY] {
        assert!(!text.contains(secret), "{text}");
    }
    let sent_by = |side: &str, line: &str| {
        let mut those = lines.iter().filter(|exchange| exchange["sent_by"] == side);
        let found = those.find(|exchange| {
            exchange["request"]["line"]
                .as_str()
                .is_some_and(|it| it.contains(line))
        });
        found
            .unwrap_or_else(|| panic!("{side} {line}: {text}"))
            .clone()
    };
    let click = sent_by("labelbox", "POST /model_run");
    assert!(
        click["request"]["body"]["modelRunId"].is_string(),
        "{click}"
    );
    assert_eq!(click["reply"]["status"], 200);
    assert_eq!(click["reply"]["body"]["duplicate"], false);
    let told = sent_by("trainhook", "/_gql");
    assert!(told["request"]["body"]["query"].is_string(), "{told}");
    assert!(told["reply"]["body"]["data"].is_object(), "{told}");
    let refused = lines
        .iter()
        .find(|exchange| exchange["reply"]["status"] == 400);
    assert_eq!(
        refused.expect("the refusal")["request"]["body"],
        "no JSON: https://bucket/file?[redacted] here"
    );
}
