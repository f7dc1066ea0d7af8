//! "Your own model in two files".

use std::{path::Path, process::Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{blocks_of, write_own_model};
use crate::support::stack::trainhook_in;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder for the test");
    write_own_model(folder.path());
    folder
}

/// Runs the one command that the README shows, on other data if there is some.
fn demo(folder: &Path, dataset: Option<&str>) -> Output {
    let shown = blocks_of("### Your own model in two files", "")[0];
    let mut words: Vec<&str> = shown.split_whitespace().collect();
    assert_eq!(words[..2], ["trainhook", "demo"]);
    if let (Some(last), Some(dataset)) = (words.last_mut(), dataset) {
        *last = dataset;
    }
    trainhook_in(folder, &words[1..])
}

fn text(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn the_model_in_two_files_goes_through_the_whole_circle() {
    let folder = folder();
    let output = demo(folder.path(), None);
    let shown = text(&output);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("COMPLETE"), "{shown}");
    assert!(shown.contains("500 predictions"), "{shown}");
}

/// Ten rows of an export of a project; those whose answer is none are not labelled.
fn write_export(folder: &Path, answers: [Option<&str>; 10]) {
    let row = |(at, answer): (usize, Option<&str>)| {
        let labels: Vec<Value> = answer.into_iter().map(label).collect();
        let data_row = json!({ "id": format!("row-{at}"), "row_data": "a text" });
        json!({ "data_row": data_row, "projects": { "p": { "labels": labels } } }).to_string()
            + "\n"
    };
    let lines: String = answers.into_iter().enumerate().map(row).collect();
    std::fs::write(folder.join("export.ndjson"), lines).expect("the folder is writable");
}

fn label(answer: &str) -> Value {
    let answered = json!({ "name": "digit", "radio_answer": { "name": answer } });
    json!({ "annotations": { "objects": [], "classifications": [answered] } })
}

#[test]
fn rows_that_nobody_has_labelled_do_not_stop_it() {
    let folder = folder();
    let mut answers = [Some("7"); 10];
    (answers[0], answers[3]) = (None, Some("1"));
    write_export(folder.path(), answers);
    let output = demo(folder.path(), Some("export.ndjson"));
    let shown = text(&output);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("accuracy=1"), "{shown}");

    answers[9] = None;
    write_export(folder.path(), answers);
    let output = demo(folder.path(), Some("export.ndjson"));
    let shown = text(&output);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("accuracy=0"), "{shown}");
}

#[test]
fn nothing_to_learn_from_is_the_reason_that_labelbox_is_told() {
    let folder = folder();
    let mut answers = [None; 10];
    answers[9] = Some("7");
    write_export(folder.path(), answers);
    let output = demo(folder.path(), Some("export.ndjson"));
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    let reason = "FAILED: no row of the training split has a label";
    assert!(shown.contains(reason), "{shown}");
}
