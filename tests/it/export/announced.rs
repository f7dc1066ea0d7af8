//! Labelbox delivers other bytes than it announced.

use serde_json::json;
use trainhook::emulator::{Dataset, Fault, FaultKind};

use super::{in_files_of, lines, model, reason, start_with};
use crate::support::stack::Stack;

const HEADER: &str = "GetExportMetadataHeaderPyApi";
const PIECE: &str = "GetExportFileFromOffsetPyApi";
const FILES: &str = "/files/exports";

/// So many rows of so many bytes lie in three files.
const ROWS: usize = 40;
const LINE_BYTES: usize = 1_000;
const FILE_BYTES: usize = 15_500;

async fn start(settings: &str) -> Stack {
    start_with(
        "",
        in_files_of(FILE_BYTES),
        &model("texts", "true", settings),
    )
    .await
}

fn texts() -> std::sync::Arc<Dataset> {
    Dataset::generated(ROWS as u64, LINE_BYTES)
}

/// The next look at the size of a result is answered like this.
fn announce(stack: &Stack, bytes: usize, rows: usize) {
    let header = json!({ "totalSize": bytes, "totalLines": rows });
    answer(
        stack,
        HEADER,
        json!({ "data": { "task": { "exportMetadataHeader": header } } }),
    );
}

/// The next of these calls or files is answered with this instead.
fn answer(stack: &Stack, operation: &str, body: serde_json::Value) {
    let kind = FaultKind::Status {
        status: 200,
        body: Some(body),
        headers: Vec::new(),
    };
    stack.emulator.add_fault(Fault::once(operation, kind));
}

/// How often Labelbox was asked for a piece.
fn asked_for_pieces(stack: &Stack) -> usize {
    let requests = stack.emulator.requests();
    let same = requests
        .iter()
        .filter(|one| one.operation.as_deref() == Some(PIECE));
    same.count()
}

/// All rows have arrived, each once.
async fn assert_whole(stack: &Stack, run: &str, id: &str) {
    stack.told(run, "COMPLETE").await;
    let dir = stack.job_dir(id);
    let splits = ["training", "validation", "test", "unassigned"];
    let rows = splits.map(|split| lines(&dir, &format!("{split}.ndjson")));
    let mut keys: Vec<String> = rows
        .iter()
        .flatten()
        .map(|row| {
            row["data_row"]["global_key"]
                .as_str()
                .expect("a key")
                .to_owned()
        })
        .collect();
    keys.sort();
    let wanted: Vec<String> = (0..ROWS).map(|at| format!("row-{at:09}")).collect();
    assert_eq!(keys, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_bytes_than_were_announced_end_the_job() {
    let stack = start("").await;
    announce(&stack, 20_000, ROWS);
    let (run, id) = stack.click_with(&texts(), "texts").await;
    let reason = reason(&stack, &run).await;
    let words = "Labelbox announced 20000 bytes of export and has more: 31000 at least";
    assert!(reason.starts_with(words), "{reason}");
    assert_eq!(stack.job(&id)["job"]["cause"], "export_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_end_within_a_line_ends_the_job() {
    let stack = start("").await;
    announce(&stack, FILE_BYTES, ROWS);
    let (run, id) = stack.click_with(&texts(), "texts").await;
    let reason = reason(&stack, &run).await;
    let words = format!(
        "line {} of the export is no data row",
        FILE_BYTES / LINE_BYTES + 1
    );
    assert!(reason.starts_with(&words), "{reason}");
    assert_eq!(stack.job(&id)["job"]["cause"], "export_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_were_announced_and_never_come_are_asked_for_until_the_time_is_up() {
    let stack = start("export_timeout = \"8s\"").await;
    announce(&stack, ROWS * LINE_BYTES + 500, ROWS);
    let (run, id) = stack.click_with(&texts(), "texts").await;
    let reason = reason(&stack, &run).await;
    let words = format!("it has no file for offset {}", ROWS * LINE_BYTES);
    assert!(
        reason.contains("export_timeout of 8s") && reason.contains(&words),
        "{reason}"
    );
    assert_eq!(stack.job(&id)["job"]["cause"], "export_failed");
    assert!(asked_for_pieces(&stack) > 4, "it was asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_rows_than_was_announced_is_told_in_the_log_alone() {
    let stack = start("").await;
    announce(&stack, ROWS * LINE_BYTES, ROWS + 2);
    let (run, id) = stack.click_with(&texts(), "texts").await;
    assert_whole(&stack, &run, &id).await;
    let log = stack.server.log_text();
    assert!(
        log.contains("announced another number of rows than it sent"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_ends_before_its_announced_end_goes_on_where_it_ended() {
    let stack = start("").await;
    // What every row begins with, and no more.
    let beginning = "{\"data_row\":{\"id\":\"cl0generated";
    answer(&stack, FILES, json!(beginning));
    let (run, id) = stack.click_with(&texts(), "texts").await;
    assert_whole(&stack, &run, &id).await;
    let missing = FILE_BYTES - beginning.len();
    let words = format!("the piece ended {missing} bytes before its announced end");
    let log = stack.server.log_text();
    assert!(log.contains(&words), "{log}");
    // The address is as good as it was.
    assert_eq!(asked_for_pieces(&stack), 3);
    assert_eq!(stack.emulator.file_requests().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_is_longer_than_was_announced_is_asked_for_under_another_address() {
    let stack = start("").await;
    let long = "x".repeat(FILE_BYTES + 1);
    stack.emulator.add_fault(pass(FILES));
    answer(&stack, FILES, json!(long));
    let (run, id) = stack.click_with(&texts(), "texts").await;
    assert_whole(&stack, &run, &id).await;
    let log = stack.server.log_text();
    assert!(log.contains("the file is longer than 15500 bytes"), "{log}");
    assert_eq!(asked_for_pieces(&stack), 4);
}

/// Lets the next of these calls or files pass.
pub(super) fn pass(operation: &str) -> Fault {
    Fault::once(operation, FaultKind::Delay { milliseconds: 0 })
}
