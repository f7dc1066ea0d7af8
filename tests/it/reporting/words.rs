//! The words that reach Labelbox: within its limits, in its types, and without secrets.

use std::fs;

use serde_json::Value;
use trainhook::emulator::{ERROR_MESSAGE_LIMIT, TimelineEntry};

use super::{UPDATE, calls};
use crate::support::stack::{API_KEY, SECRET, Stack, UNTIL_GO, job_id, model};

/// A script that ends with this line of its error output.
fn fails_with(line: &str) -> String {
    format!("echo '{line}' >&2; exit 4")
}

fn message(timeline: &[TimelineEntry]) -> String {
    let last = timeline
        .last()
        .and_then(|entry| entry.error_message.clone());
    last.expect("a message")
}

/// Runs a job of a model `job`; answers its id and the message that Labelbox was told.
async fn failure(stack: &Stack) -> (String, String) {
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    (id, message(&stack.told(&run, "FAILED").await))
}

/// Nothing of the secret in what Labelbox was sent, in what people see of the job, or in the server's log.
fn assert_unseen(stack: &Stack, id: &str, secret: &str) {
    let sent = stack.emulator.requests();
    let seen = [
        sent.iter().map(|call| call.body.to_string()).collect(),
        stack.trainhook(&["jobs", "show", id]),
        stack.trainhook(&["jobs", "show", id, "--json"]),
        stack.trainhook(&["reports", "list", "--all", "--json"]),
        stack.server.log_text(),
    ];
    for text in seen {
        assert!(!text.contains(secret), "{secret:?} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_reason_is_cut_between_characters_to_what_labelbox_takes() {
    for character in ["手", "😀", "é"] {
        let line = format!("no labels: {}", character.repeat(400));
        let stack = Stack::start(&model("job", &fails_with(&line), "")).await;
        let (id, message) = failure(&stack).await;
        assert_eq!(message.chars().count(), ERROR_MESSAGE_LIMIT, "{message}");
        let cut = message.strip_suffix('…').expect("it shows that it was cut");
        assert!(line.starts_with(cut), "{message}");
        let whole = stack.job(&id)["job"]["message"].to_string();
        assert!(whole.contains(&line), "{whole}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_reason_comes_first_and_the_job_after_it() {
    let stack = Stack::start(&model("job", &fails_with("no labels in class 7"), "")).await;
    let (id, message) = failure(&stack).await;
    assert!(message.starts_with("no labels in class 7"), "{message}");
    let (how, name) = (message.find("4"), message.find(&id));
    assert!(how.is_some() && name > how, "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_behind_the_reason_is_left_out_whole() {
    let line = "x".repeat(230);
    let stack = Stack::start(&model("job", &fails_with(&line), "")).await;
    let (id, message) = failure(&stack).await;
    assert!(message.starts_with(&line), "{message}");
    assert!(
        !message.contains(&id[..8]) && message.ends_with(')'),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_a_command_prints_reach_nobody() {
    let script = fails_with(&format!("cannot log in with {API_KEY} or {SECRET}"));
    // The script itself is no secret: it stands in a file, as it would.
    let stack = Stack::start(&model("job", ". ./script", "")).await;
    fs::write(stack.folder.path().join("script"), script).expect("the folder is writable");
    let (id, message) = failure(&stack).await;
    assert!(
        message.starts_with("cannot log in with [redacted] or [redacted]"),
        "{message}"
    );
    for secret in [API_KEY, SECRET] {
        assert_unseen(&stack, &id, secret);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_cut_off_with_its_line_shows_no_part_of_itself() {
    let stack = Stack::start(&model("job", ". ./script", "")).await;
    let script = fails_with(&format!("{}{API_KEY}", "x".repeat(980)));
    fs::write(stack.folder.path().join("script"), script).expect("the folder is writable");
    let (id, _) = failure(&stack).await;
    assert_unseen(&stack, &id, &API_KEY[..8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_came_while_the_server_ran_is_as_secret_as_the_first() {
    let stack = Stack::start(&model("job", &format!("{UNTIL_GO}; . ./script"), "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "TRAINING_MODEL").await;
    let new_key = "a key that came later";
    let write = |name: &str, text: &str| fs::write(stack.folder.path().join(name), text);
    write("script", &fails_with(&format!("used {new_key}"))).expect("the folder is writable");
    write("key", new_key).expect("the folder is writable");
    stack.go();
    stack.server.logged("the attempt is over").await;
    write("key", API_KEY).expect("the folder is writable");
    assert!(message(&stack.told(&run, "FAILED").await).starts_with("used [redacted]"));
    assert_unseen(&stack, &id, new_key);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_empty_is_left_out_and_metadata_is_text() {
    let script = "$TRAINHOOK_BIN event metric loss=0.25 epoch=3; $TRAINHOOK_BIN event progress 50";
    let params = "params = { rate = 0.5, layers = 3, deep = true, name = \"net\" }";
    let stack = Stack::start(&model("job", script, params)).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "COMPLETE").await;
    let requests = stack.emulator.requests();
    for call in calls(&requests, UPDATE) {
        let data = call.body["variables"]["data"]
            .as_object()
            .expect("an object");
        assert!(!data.contains_key("errorMessage"), "{data:?}");
        let metadata = data
            .get("metadata")
            .map(|metadata| metadata.as_object().expect("an object"));
        assert!(
            metadata.is_none_or(|all| !all.is_empty() && all.values().all(Value::is_string)),
            "{data:?}"
        );
    }
    let shown = stack
        .emulator
        .pipeline(&run)
        .expect("the run")
        .metadata
        .expect("metadata");
    let expected = [
        ("loss", "0.25"),
        ("epoch", "3"),
        ("progress", "100%"),
        ("trainhook_job", id.as_str()),
        ("param_rate", "0.5"),
        ("param_layers", "3"),
        ("param_deep", "true"),
        ("param_name", "net"),
    ];
    for (name, value) in expected {
        assert_eq!(shown.get(name), Some(&value.into()), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_tells_its_numbers_all_the_same() {
    let script = "$TRAINHOOK_BIN event metric loss=0.25; echo '{{\"accuracy\": 0.5}}' > $TRAINHOOK_OUT_DIR/metrics.json; \
                  echo '{{\"weights\": \"s3://b/w\"}}' > $TRAINHOOK_OUT_DIR/artifacts.json; exit 1";
    let stack = Stack::start(&model("job", script, "params = { rate = 0.5 }")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "FAILED").await;
    let shown = stack.emulator.pipeline(&run).expect("the run").metadata;
    let shown = shown.expect("metadata");
    for (name, value) in [
        ("loss", "0.25"),
        ("accuracy", "0.5"),
        ("weights", "s3://b/w"),
        ("trainhook_job", id.as_str()),
        ("param_rate", "0.5"),
    ] {
        assert_eq!(shown.get(name), Some(&value.into()), "{name}");
    }
}
