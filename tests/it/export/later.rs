//! What breaks is not the first request of its kind: later pages and pieces, later looks, and what is asked again.

use std::time::Duration;

use serde_json::json;
use trainhook::emulator::{Dataset, Fault, FaultKind, Timing};

use super::{announced::pass, assert_digits, model, start_with};
use crate::support::stack::Stack;

/// What is asked once: its first answer is spoiled, and so is its second.
const ONCE: [&str; 3] = [
    "GetUserPyApi",
    "GetOntologyPyApi",
    "GetExportMetadataHeaderPyApi",
];

/// The same; it is asked again with each question for the ontology that it leads to.
const WHICH_ONTOLOGY: &str = "modelOntologyPyApi";

/// Looks at the task, pages of the splits, pieces, and the files that hold these: the first is good, the second spoiled,
/// its repetition good, and the next one spoiled again.
const OFTEN: [&str; 3] = [
    "GetUserCreatedTasksPyApi",
    "modelRunPyApi",
    "GetExportFileFromOffsetPyApi",
];
const FILES: &str = "/files/exports";

/// The digits' splits come on so many pages, of which the last is empty.
const PAGES: usize = 19;

/// So long that the task is looked at four times, also on a busy machine.
const EXPORT_TAKES: Duration = Duration::from_secs(8);

fn spoil_later(stack: &Stack, operation: &str, kind: &FaultKind) {
    for _ in 0..2 {
        stack.emulator.add_fault(pass(operation));
        stack
            .emulator
            .add_fault(Fault::once(operation, kind.clone()));
    }
}

fn asked(stack: &Stack, operation: &str) -> usize {
    let requests = stack.emulator.requests();
    let same =
        |one: &&trainhook::emulator::RecordedRequest| one.operation.as_deref() == Some(operation);
    requests.iter().filter(same).count()
}

/// The data arrives, whole, and nothing is asked more often than was spoiled; each call and each file is spoiled like this.
async fn survives(calls: &FaultKind, files: &FaultKind) -> Stack {
    let timing = Timing {
        export_takes: EXPORT_TAKES,
        file_bytes: 300_000,
        ..Timing::default()
    };
    let stack = start_with("", timing, &model("digits", "true", "")).await;
    for operation in ONCE.into_iter().chain([WHICH_ONTOLOGY]) {
        stack
            .emulator
            .add_fault(Fault::times(operation, 2, calls.clone()));
    }
    for operation in OFTEN {
        spoil_later(&stack, operation, calls);
    }
    spoil_later(&stack, FILES, files);
    let (run, id) = stack.click_with(&Dataset::digits(), "digits").await;
    stack.told(&run, "COMPLETE").await;
    assert_digits(&stack.job_dir(&id));
    for operation in ONCE {
        assert_eq!(asked(&stack, operation), 3, "{operation}");
    }
    assert_eq!(asked(&stack, WHICH_ONTOLOGY), 5);
    assert_eq!(asked(&stack, OFTEN[1]), PAGES + 2);
    assert!(asked(&stack, OFTEN[0]) >= 5, "both looks were spoiled");
    assert_eq!(stack.emulator.export_tasks(), 1);
    stack
}

/// How many files the export lies in, by what was asked for.
fn pieces(stack: &Stack) -> usize {
    let mut files = stack.emulator.file_requests();
    assert!(files.len() >= 5, "both files were spoiled: {files:?}");
    files.sort();
    files.dedup();
    files.len()
}

fn status(status: u16, headers: &[(&str, &str)]) -> FaultKind {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    FaultKind::Status {
        status,
        body: Some(json!("<html>a proxy's page</html>")),
        headers: headers.iter().map(owned).collect(),
    }
}

fn internal_error() -> FaultKind {
    FaultKind::GraphqlError {
        code: "INTERNAL_SERVER_ERROR".to_owned(),
        message: "something broke".to_owned(),
        exception_status: None,
    }
}

/// The search for a task that may have begun breaks as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_beginning_breaks_twice_begins_once() {
    let stack = start_with("", Timing::default(), &model("digits", "true", "")).await;
    let kinds = [
        FaultKind::DropBefore,
        FaultKind::DropAfter,
        FaultKind::Hang { milliseconds: 300 },
        status(500, &[]),
        status(429, &[("retry-after", "1")]),
        internal_error(),
    ];
    for (before, kind) in kinds.into_iter().enumerate() {
        for operation in ["exportDataRowsInModelRunPyApi", "GetUserCreatedTasksPyApi"] {
            stack
                .emulator
                .add_fault(Fault::times(operation, 2, kind.clone()));
        }
        let (run, id) = stack.click_with(&Dataset::digits(), "digits").await;
        stack.told(&run, "COMPLETE").await;
        assert_digits(&stack.job_dir(&id));
        assert_eq!(stack.emulator.export_tasks(), before + 1, "{kind:?}");
        stack.emulator.clear_faults();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn later_connections_that_break_before_anything_happens() {
    let cut = FaultKind::TruncateBody { bytes: 100_001 };
    let stack = survives(&FaultKind::DropBefore, &cut).await;
    // A file that is cut goes on under its address.
    assert_eq!(asked(&stack, OFTEN[2]), pieces(&stack) + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn later_connections_that_break_after_labelbox_did_what_was_asked() {
    survives(&FaultKind::DropAfter, &FaultKind::DropBefore).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn later_calls_and_files_that_hang_and_then_break() {
    let hang = FaultKind::Hang { milliseconds: 300 };
    survives(&hang, &hang).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn later_faults_of_labelbox_and_of_the_place_where_files_lie() {
    survives(&status(500, &[]), &status(503, &[])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn later_wishes_for_fewer_calls() {
    let wish = status(429, &[("retry-after", "1")]);
    survives(&wish, &wish).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn later_errors_within_good_answers_and_addresses_that_hold_no_longer() {
    let stack = survives(&internal_error(), &status(403, &[])).await;
    // Two were spoiled, and two files were refused under their first address.
    assert_eq!(asked(&stack, OFTEN[2]), pieces(&stack) + 4);
}
