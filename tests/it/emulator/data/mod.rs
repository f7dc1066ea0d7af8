//! Data rows, exports and imports of the emulated Labelbox, at the wire.

mod datasets;
mod exports;
mod imports;
mod own;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use trainhook::emulator::{Dataset, Emulator, Options, Timing};

use super::{ask, client, start_with};

const EXPORT: &str =
    "mutation x($input: I!){exportDataRowsInModelRun(input: $input){taskId isStreamable}}";
const IMPORT: &str = "query x($run: ID!, $name: String!)\
    {modelErrorAnalysisPredictionImport(where: {modelRunId: $run, name: $name}){state statusFileUrl errorFileUrl}}";

/// An emulator in which nothing takes time, and a run with these rows.
async fn start(dataset: Arc<Dataset>, file_bytes: usize) -> (Emulator, String) {
    let timing = Timing {
        export_takes: Duration::ZERO,
        import_takes: Duration::ZERO,
        file_bytes,
        ..Timing::default()
    };
    let options = Options {
        timing,
        dataset: Some(dataset),
        ..Options::default()
    };
    let emulator = start_with(options).await;
    let (_, run) = emulator.create_model_run(None, "a run");
    (emulator, run)
}

async fn data(emulator: &Emulator, query: &str, variables: Value) -> Value {
    let answer = ask(
        emulator,
        "/graphql",
        &json!({ "query": query, "variables": variables }),
    )
    .await;
    assert!(answer["errors"].is_null(), "{answer}");
    answer["data"].clone()
}

async fn begin_export(emulator: &Emulator, run: &str) -> String {
    let input = json!({ "filters": { "modelRunId": run }, "params": {}, "streamable": true });
    let begun = data(emulator, EXPORT, json!({ "input": input })).await;
    begun["exportDataRowsInModelRun"]["taskId"]
        .as_str()
        .expect("an id")
        .to_owned()
}

async fn header(emulator: &Emulator, task: &str) -> Value {
    let query = "query x($id: ID!){task(where: {id: $id}){status errors \
                 exportMetadataHeader(streamType: RESULT){totalSize totalLines}}}";
    data(emulator, query, json!({ "id": task })).await["task"].clone()
}

/// The whole result, file by file.
async fn fetch(emulator: &Emulator, task: &str) -> (Vec<u8>, usize) {
    let query = "query x($id: ID!, $offset: UInt64!){task(where: {id: $id})\
                 {exportFileFromOffset(streamType: RESULT, offset: $offset){offsets{start end} file}}}";
    let total = header(emulator, task).await["exportMetadataHeader"]["totalSize"].as_u64();
    let (mut all, mut files) = (Vec::new(), 0);
    while (all.len() as u64) < total.expect("a size") {
        let variables = json!({ "id": task, "offset": all.len().to_string() });
        let file = data(emulator, query, variables).await["task"]["exportFileFromOffset"].clone();
        assert_eq!(file["offsets"]["start"], all.len());
        let address = file["file"].as_str().expect("an address");
        let bytes = client()
            .get(address)
            .send()
            .await
            .expect("an answer")
            .bytes()
            .await;
        all.extend(bytes.expect("a body"));
        assert_eq!(file["offsets"]["end"], all.len() - 1);
        files += 1;
    }
    (all, files)
}
