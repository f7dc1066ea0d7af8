//! Every request that an export makes goes wrong, in every way, and the data arrives all the same.

use serde_json::json;
use trainhook::emulator::{Dataset, Fault, FaultKind};

use super::{assert_digits, in_files_of, model, reason, start, start_with};
use crate::support::stack::Stack;

/// Whatever an export asks of Labelbox, by the field of the answer.
const CALLS: [&str; 7] = [
    "modelRun",
    "model",
    "ontology",
    "exportDataRowsInModelRun",
    "user",
    "annotationGroups",
    "task",
];

const FILES: &str = "/files/exports";

fn status(status: u16, headers: &[(&str, &str)]) -> FaultKind {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    FaultKind::Status {
        status,
        body: Some(json!("<html>a proxy's page</html>")),
        headers: headers.iter().map(owned).collect(),
    }
}

/// Each call is spoiled once, in turn; then a file is.
async fn survives(calls: &FaultKind, file: &FaultKind) -> Stack {
    let stack = start_with("", in_files_of(300_000), &model("digits", "true", "")).await;
    for call in CALLS {
        stack.emulator.add_fault(Fault::once(call, calls.clone()));
    }
    // Both kinds of question about users and about tasks.
    for operation in ["GetUserCreatedTasksPyApi", "GetExportFileFromOffsetPyApi"] {
        let fault = Fault::once(operation, calls.clone());
        stack.emulator.add_fault(fault);
    }
    stack
        .emulator
        .add_fault(Fault::times(FILES, 2, file.clone()));
    let (run, id) = stack.click_with(&Dataset::digits(), "digits").await;
    stack.told(&run, "COMPLETE").await;
    assert_digits(&stack.job_dir(&id));
    stack
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_before_anything_happens() {
    let cut = FaultKind::TruncateBody { bytes: 100_001 };
    let stack = survives(&FaultKind::DropBefore, &cut).await;
    assert_eq!(stack.emulator.export_tasks(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_after_labelbox_did_what_was_asked() {
    let stack = survives(&FaultKind::DropAfter, &FaultKind::DropBefore).await;
    // It is found by its name.
    assert_eq!(stack.emulator.export_tasks(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_labelbox_and_of_the_place_where_files_lie() {
    let stack = survives(&status(500, &[]), &status(503, &[])).await;
    assert_eq!(stack.emulator.export_tasks(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_for_fewer_calls() {
    let wish = status(429, &[("retry-after", "1")]);
    let stack = survives(&wish, &wish).await;
    assert_eq!(stack.emulator.export_tasks(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_within_good_answers_and_addresses_that_hold_no_longer() {
    let error = FaultKind::GraphqlError {
        code: "INTERNAL_SERVER_ERROR".to_owned(),
        message: "something broke".to_owned(),
        exception_status: None,
    };
    let stack = survives(&error, &status(403, &[])).await;
    assert_eq!(stack.emulator.export_tasks(), 1);
    // Whoever is refused asks for another address: two more than there are files.
    let files = stack.emulator.file_requests().len();
    let addresses = stack
        .emulator
        .requests()
        .into_iter()
        .filter(|request| request.operation.as_deref() == Some("GetExportFileFromOffsetPyApi"));
    // One address of each more is the spoiled answer itself.
    assert_eq!(addresses.count(), files + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_cut_goes_on_where_it_was_cut() {
    let stack = start(&model("digits", "true", "")).await;
    let cut = FaultKind::TruncateBody { bytes: 200_000 };
    stack.emulator.add_fault(Fault::once(FILES, cut));
    let (run, id) = stack.click_with(&Dataset::digits(), "digits").await;
    stack.told(&run, "COMPLETE").await;
    assert_digits(&stack.job_dir(&id));
    // The address still holds: Labelbox is not asked for another one.
    let files = stack.emulator.file_requests();
    assert_eq!(files[0], files[1]);
    let header_and_files = stack.asked("task");
    assert_eq!(header_and_files, 1 + files.len() - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_labelbox_has_lost_is_followed_by_another_one() {
    let stack = start(&model("digits", "true", "")).await;
    let unknown = FaultKind::GraphqlError {
        code: "RESOURCE_NOT_FOUND".to_owned(),
        message: "no such task".to_owned(),
        exception_status: None,
    };
    stack.emulator.add_fault(Fault::once("task", unknown));
    let (run, id) = stack.click_with(&Dataset::digits(), "digits").await;
    stack.told(&run, "COMPLETE").await;
    assert_digits(&stack.job_dir(&id));
    assert_eq!(stack.emulator.export_tasks(), 2);
    // Rows may have been assigned elsewhere meanwhile: their splits were asked for again, all of them.
    let pages = stack.asked("annotationGroups");
    let (run, _) = stack.click_with(&Dataset::digits(), "digits").await;
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.asked("annotationGroups") - pages, pages / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_fails_ends_the_job_with_labelboxs_words() {
    let stack = start(&model("digits", "true", "")).await;
    let message = "the export is too large for this plan".to_owned();
    let fault = Fault::once("exportDataRowsInModelRun", FaultKind::Fails { message });
    stack.emulator.add_fault(fault);
    let (run, id) = stack.click_with(&Dataset::digits(), "digits").await;
    let reason = reason(&stack, &run).await;
    let words = "Labelbox could not export the run's data: the export is too large for this plan";
    assert!(reason.starts_with(words), "{reason}");
    assert_eq!(stack.job(&id)["job"]["cause"], "export_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_refused_for_good_ends_the_job() {
    let stack = start(&model("digits", "true", "")).await;
    let refused = FaultKind::GraphqlError {
        code: "AUTHORIZATION_ERROR".to_owned(),
        message: "exports need another role".to_owned(),
        exception_status: None,
    };
    let fault = Fault::times("exportDataRowsInModelRun", 3, refused);
    stack.emulator.add_fault(fault);
    let (run, _) = stack.click_with(&Dataset::digits(), "digits").await;
    let reason = reason(&stack, &run).await;
    assert!(reason.contains("exports need another role"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_may_take_no_longer_than_its_time() {
    let stack = start(&model("digits", "true", "export_timeout = \"1s\"")).await;
    let takes = FaultKind::Takes {
        milliseconds: 100_000,
    };
    let fault = Fault::once("exportDataRowsInModelRun", takes);
    stack.emulator.add_fault(fault);
    let (run, _) = stack.click_with(&Dataset::digits(), "digits").await;
    let reason = reason(&stack, &run).await;
    let words = "the export took longer than its export_timeout of 1s; at last: ";
    assert!(reason.starts_with(words), "{reason}");
}
