//! What Labelbox is told while it is down, slow, strict or forgetful.

mod finals;
mod limits;
mod outages;
mod parking;
mod stale;
mod unknown_runs;
mod words;

use serde_json::Value;
use trainhook::emulator::{Fault, FaultKind, RecordedRequest, TimelineEntry};

use crate::support::stack::{Stack, settings, statuses, wait_until, workspace};

/// The call that tells a status.
const UPDATE: &str = "updateTrainingPipeline";

/// The call that reads it back.
const READ_BACK: &str = "trainingPipeline";

/// The call that asks whether a run exists.
const ASK: &str = "modelRun";

/// A stack whose `[reporting]` has these settings instead of its own.
async fn stack_with(reporting: &[(&str, &str)], models: &str) -> Stack {
    Stack::start_whole(|endpoint| {
        let settings: String = settings()
            .lines()
            .filter(|line| !reporting.iter().any(|(key, _)| line.starts_with(&format!("{key} ="))))
            .map(|line| format!("{line}\n"))
            .collect();
        let ours: String = reporting.iter().map(|(key, value)| format!("{key} = \"{value}\"\n")).collect();
        let workspace = workspace("main", "/", endpoint);
        format!("{settings}{ours}{workspace}[executors.local]\nkind = \"local\"\nmax_running = 2\n{models}")
    })
    .await
}

/// An answer with this status, a word for a body, and these headers.
fn status(status: u16, headers: &[(&str, &str)]) -> FaultKind {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    FaultKind::Status {
        status,
        body: Some("busy".into()),
        headers: headers.iter().map(owned).collect(),
    }
}

/// Labelbox's own refusal with this code.
fn refusal(code: &str) -> FaultKind {
    FaultKind::GraphqlError {
        code: code.to_owned(),
        message: "because of a test".to_owned(),
        exception_status: None,
    }
}

/// Every call fails like this until the faults are cleared.
fn down(kind: FaultKind) -> Fault {
    Fault {
        operation: None,
        times: u32::MAX,
        kind,
    }
}

/// The statuses went forwards, and the last is `last`.
fn assert_in_order(timeline: &[TimelineEntry], last: &str) {
    let order = ["EXPORTING_DATA", "PREPARING_DATA", "TRAINING_MODEL", last];
    let rank = |status: &&str| order.iter().position(|known| known == status);
    let ranks: Option<Vec<usize>> = statuses(timeline).iter().map(rank).collect();
    let ranks = ranks.unwrap_or_else(|| panic!("a status out of place: {timeline:?}"));
    assert!(ranks.is_sorted(), "{timeline:?}");
    assert_eq!(ranks.last(), Some(&3), "{timeline:?}");
}

/// How often a status was told.
fn count(timeline: &[TimelineEntry], status: &str) -> usize {
    timeline
        .iter()
        .filter(|entry| entry.status == status)
        .count()
}

/// The calls of one root field.
fn calls<'a>(requests: &'a [RecordedRequest], field: &str) -> Vec<&'a RecordedRequest> {
    let of_field = |call: &&RecordedRequest| call.root_field.as_deref() == Some(field);
    requests.iter().filter(of_field).collect()
}

/// What `trainhook reports list` says; with `--all` also what Labelbox has.
fn reports(stack: &Stack, all: bool) -> Vec<Value> {
    let more: &[&str] = if all { &["--all"] } else { &[] };
    let list = stack.trainhook(&[&["reports", "list", "--json"], more].concat());
    let list: Value = serde_json::from_str(&list).expect("JSON");
    list["reports"].as_array().expect("a list").clone()
}

/// The numbers of a run's owed reports, the oldest first.
fn owed(stack: &Stack, run: &str) -> Vec<String> {
    let of_run = |report: &&Value| report["modelRunId"] == run;
    let owed = reports(stack, false);
    let numbers = owed
        .iter()
        .filter(of_run)
        .map(|report| report["id"].to_string());
    numbers.rev().collect()
}

/// Waits until Labelbox is owed nothing.
async fn settled(stack: &Stack) {
    wait_until("an empty outbox", || {
        reports(stack, false).is_empty().then_some(())
    })
    .await;
}

/// A run whose job trains with the model `slug`, and of which Labelbox has been told all so far.
async fn training(stack: &Stack, slug: &str) -> String {
    let run = stack.new_run();
    stack.click(&run, slug).await;
    stack.told(&run, "TRAINING_MODEL").await;
    settled(stack).await;
    run
}

/// Another run's whole story passes, and Labelbox hears nothing of `run` meanwhile.
async fn assert_let_alone(stack: &Stack, run: &str, slug: &str) {
    let before = stack.emulator.requests().len();
    let other = stack.new_run();
    stack.click(&other, slug).await;
    stack.told(&other, "COMPLETE").await;
    let later = stack.emulator.requests().split_off(before);
    let about = |call: &RecordedRequest| call.body.to_string().contains(run);
    assert!(!later.iter().any(about), "{later:?}");
}
