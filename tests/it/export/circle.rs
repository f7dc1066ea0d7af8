//! From a click to files that hold the run's rows by their splits.

use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use trainhook::{
    config::SecretRef,
    dataset::{RowIndex, Split},
    emulator::{Dataset, RecordedRequest},
    labelbox::Labelbox,
};

use super::{disk::prepares, ids, in_files_of, lines, model, read_json, start, start_with};
use crate::{metrics::metrics, support::stack::Stack};

/// In hexadecimal digits.
fn sha256(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_finds_its_rows_in_the_file_of_their_split() {
    let script = "cp -r $TRAINHOOK_DATA_DIR/ seen; wc -l < $TRAINHOOK_TRAINING_FILE > rows; \
                  wc -l < $TRAINHOOK_VALIDATION_FILE >> rows; wc -l < $TRAINHOOK_TEST_FILE >> rows; \
                  cp $TRAINHOOK_REQUEST_FILE request";
    let stack = start(&model("digits", script, "")).await;
    let (run, id) = stack.click_with(&Dataset::digits(), "digits").await;
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("rows"), ["1000", "297", "500"]);
    let dir = stack.job_dir(&id);
    let first = &lines(&dir, "validation.ndjson")[0];
    assert_eq!(first["data_row"]["global_key"], "digit-1000");
    assert_eq!(lines(&dir, "unassigned.ndjson").len(), 0);
    let manifest = read_json(&dir.join("data/manifest.json"));
    assert_eq!(manifest["rows"], 1797);
    for split in ["training", "validation", "test", "unassigned"] {
        let noted = &manifest["splits"][split];
        let content = fs::read(
            dir.join("data")
                .join(noted["file"].as_str().expect("a name")),
        );
        let content = content.expect("the file is there");
        assert_eq!(noted["bytes"], content.len());
        assert_eq!(noted["sha256"], sha256(&content), "{split}");
    }
    let ontology = fs::read(dir.join("data/ontology.json")).expect("the file is there");
    let noted = json!({
        "file": "ontology.json", "bytes": ontology.len(), "sha256": sha256(&ontology),
    });
    assert_eq!(manifest["ontology"], noted);
    let ontology = read_json(&dir.join("data/ontology.json"));
    assert_eq!(ontology["classifications"][0]["options"][7]["name"], "7");
    let index = RowIndex::open(&dir.join("server/rows.index")).expect("an index");
    assert_eq!(index.len(), 1797);
    let row = index.by_global_key("digit-1796").expect("it is there");
    assert_eq!((row.split, row.size), (Split::Test, Some((8, 8))));
    let id = first["data_row"]["id"].as_str().expect("an id");
    let key = first["data_row"]["global_key"].as_str().expect("a key");
    assert!(index.by_id(id).is_some());
    assert_eq!(index.by_id(id), index.by_global_key(key));
    assert_ne!(index.by_id(id), Some(row));
    assert_eq!(stack.emulator.export_tasks(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_cut_anywhere_and_stay_as_they_were() {
    let stack = start_with("", in_files_of(997), &model("texts", "true", "")).await;
    let (run, id) = stack
        .click_with(&Dataset::generated(40, 700), "texts")
        .await;
    stack.told(&run, "COMPLETE").await;
    let dir = stack.job_dir(&id);
    let mut exported = whole_export(&stack, &dir).await;
    for split in Split::ALL {
        let file = fs::read_to_string(dir.join("data").join(split.file_name()));
        for line in file.expect("a file").lines() {
            let at = exported.iter().position(|other| other == line);
            exported.swap_remove(at.expect("it was sent like that"));
        }
    }
    assert!(exported.is_empty(), "{exported:?}");
    let id = |row: &usize| format!("cl0generated0000{row:09}");
    let of_split = |is_in: fn(usize) -> bool| {
        let rows = (0..40).filter(|row| is_in(row % 10));
        rows.map(|row| id(&row)).collect::<Vec<_>>()
    };
    assert_eq!(ids(&dir, "training"), of_split(|row| row < 8));
    assert_eq!(ids(&dir, "validation"), of_split(|row| row == 8));
    assert_eq!(ids(&dir, "test"), of_split(|row| row == 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_asks_what_the_sdk_asks() {
    let export = "export = { attachments = true, embeddings = true }";
    let stack = start(&model("digits", "true", export)).await;
    let (run, id) = stack.click_with(&Dataset::digits(), "digits").await;
    stack.told(&run, "COMPLETE").await;
    let requests = stack.emulator.requests();
    let sent = |operation: &str| {
        let is = |request: &&RecordedRequest| request.operation.as_deref() == Some(operation);
        let found = requests.iter().find(is);
        found.unwrap_or_else(|| panic!("{operation}")).body.clone()
    };
    let mut wanted = captured("export_defaults_request", "exportDataRowsInModelRunPyApi");
    let input = &mut wanted["variables"]["input"];
    let created = sent("exportDataRowsInModelRunPyApi");
    let name = created["variables"]["input"]["taskName"].clone();
    let is_ours = |name: &str| name.starts_with(&format!("trainhook {id} 20"));
    assert!(name.as_str().is_some_and(is_ours), "{name}");
    input["taskName"] = name;
    input["filters"]["modelRunId"] = run.clone().into();
    input["params"]["includeAttachments"] = true.into();
    input["params"]["includeEmbeddings"] = true.into();
    assert_eq!(created["variables"], wanted["variables"]);
    for (capture, operation) in [
        ("export_defaults_request", "exportDataRowsInModelRunPyApi"),
        ("export_streamable", "GetUserPyApi"),
        ("export_streamable", "GetUserCreatedTasksPyApi"),
        ("export_streamable", "GetExportMetadataHeaderPyApi"),
        ("export_streamable", "GetExportFileFromOffsetPyApi"),
        ("model_ontology_query", "modelOntologyPyApi"),
        ("get_ontology", "GetOntologyPyApi"),
    ] {
        let plain = |body: &Value| {
            let query = body["query"].as_str().expect("a query");
            query.replace(|c: char| c.is_whitespace() || c == ',', "")
        };
        assert_eq!(
            plain(&sent(operation)),
            plain(&captured(capture, operation)),
            "{operation}"
        );
    }
    let pages = captured("model_run_data_rows", "modelRunPyApi");
    let mut first = sent("modelRunPyApi")["variables"].clone();
    first["modelRunId"] = pages["variables"]["modelRunId"].clone();
    assert_eq!(first, pages["variables"]);
}

/// The lines of the job's export, as they are sent to whoever asks.
async fn whole_export(stack: &Stack, job_dir: &Path) -> Vec<String> {
    let task = read_json(&job_dir.join("data/manifest.json"))["task_id"].clone();
    let task = task.as_str().expect("a task");
    let key = SecretRef::File(stack.folder.path().join("key"));
    let address = stack.emulator.graphql_url();
    let labelbox = Labelbox::new(&address, key, Duration::from_secs(30));
    let size = labelbox.export_size(task).await.expect("an answer");
    let (mut bytes, all) = (Vec::new(), size.expect("a size").bytes);
    while (bytes.len() as u64) < all {
        let piece = labelbox.export_file(task, bytes.len() as u64).await;
        let answer = reqwest::get(piece.expect("a piece").url).await;
        let piece = answer.expect("an answer").bytes().await;
        bytes.extend_from_slice(&piece.expect("its bytes"));
    }
    let text = String::from_utf8(bytes).expect("text");
    text.lines().map(str::to_owned).collect()
}

/// What the SDK sent, by the operation's name.
fn captured(capture: &str, operation: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/labelbox");
    let capture = read_json(&Path::new(folder).join(format!("{capture}.json")));
    let requests = capture["requests"].as_array().expect("requests");
    let is = |body: &&Value| {
        let query = body["json"]["query"].as_str();
        query.is_some_and(|query| query.contains(operation))
    };
    requests.iter().find(is).expect("it was captured")["json"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_an_export_is_can_be_seen_and_what_it_brought() {
    let stack = start(&model("digits", "true", "")).await;
    stack.emulator.add_fault(prepares());
    let (run, id) = stack.click_with(&Dataset::digits(), "digits").await;
    stack.waits_for(&id, "Labelbox prepares the export: ").await;
    assert_eq!(metrics(&stack).await["trainhook_exports"], 1.0);
    stack.emulator.finish_exports();
    stack.told(&run, "COMPLETE").await;
    let timeline = stack.job(&id)["timeline"].clone();
    let events = timeline.as_array().expect("a timeline").iter();
    let events: Vec<&str> = events.filter_map(|entry| entry["event"].as_str()).collect();
    assert_eq!(events[..4], ["accepted", "exporting", "exported", "queued"]);
    let what = "1797 rows: 1000 training, 297 validation, 500 test";
    assert_eq!(timeline[2]["detail"], what);
    let metrics = metrics(&stack).await;
    assert_eq!(metrics["trainhook_exports"], 0.0);
    assert_eq!(metrics["trainhook_exported_rows_total"], 1797.0);
    assert!(metrics["trainhook_exported_bytes_total"] > 1797.0 * 500.0);
}
