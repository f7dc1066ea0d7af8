//! Data rows, exports and imports of the emulated Labelbox, at the wire.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use trainhook::{
    dataset::{BoundingBox, Object, Row},
    emulator::{Dataset, Emulator, Fault, FaultKind, Options, Timing},
};

use super::{ask, client, start_with};

const EXPORT: &str =
    "mutation x($input: I!){exportDataRowsInModelRun(input: $input){taskId isStreamable}}";
const IMPORT: &str = "query x($run: ID!, $name: String!)\
    {modelErrorAnalysisPredictionImport(where: {modelRunId: $run, name: $name}){state statusFileUrl}}";

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

#[tokio::test]
async fn an_export_lies_in_files_that_are_cut_anywhere() {
    let (emulator, run) = start(Dataset::digits(), 10_007).await;
    let task = begin_export(&emulator, &run).await;
    let (all, files) = fetch(&emulator, &task).await;
    assert_eq!(files, all.len().div_ceil(10_007));
    let lines: Vec<Value> = all
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("a line of JSON"))
        .collect();
    assert_eq!(lines.len(), 1797);
    assert_eq!(
        header(&emulator, &task).await["exportMetadataHeader"]["totalLines"],
        1797
    );
}

#[tokio::test]
async fn generated_rows_are_the_same_whichever_way_they_are_asked_for() {
    let (emulator, run) = start(Dataset::generated(257, 1000), 999).await;
    let task = begin_export(&emulator, &run).await;
    let (all, _) = fetch(&emulator, &task).await;
    assert_eq!(all.len(), 257 * 1000);
    let lines: Vec<&[u8]> = all.split_inclusive(|byte| *byte == b'\n').collect();
    assert!(lines.iter().all(|line| line.len() == 1000));
    let row: Value = serde_json::from_slice(lines[123]).expect("JSON");
    assert_eq!(row["data_row"]["global_key"], "row-000000123");
    assert!(row.to_string().contains("kind-d"), "{row}");
    let query = "query x($run: ID!){annotationGroups(where: {modelRunId: {id: $run}}, after: \"after-120\", first: 5)\
                 {nodes{dataSplit dataRow{id globalKey}} pageInfo{endCursor}}}";
    let page = data(&emulator, query, json!({ "run": run })).await["annotationGroups"].clone();
    assert_eq!(page["nodes"][3]["dataRow"]["globalKey"], "row-000000123");
    assert_eq!(page["nodes"][3]["dataRow"]["id"], row["data_row"]["id"]);
    assert_eq!(page["pageInfo"]["endCursor"], "after-125");
}

#[tokio::test]
async fn a_run_without_rows_exports_nothing() {
    let (emulator, run) = start(Dataset::generated(0, 700), 999).await;
    let task = begin_export(&emulator, &run).await;
    let header = header(&emulator, &task).await;
    assert_eq!(
        (&header["status"], &header["exportMetadataHeader"]),
        (&json!("COMPLETE"), &Value::Null)
    );
}

#[tokio::test]
async fn a_task_fails_on_demand_and_takes_its_time_on_demand() {
    let (emulator, run) = start(Dataset::generated(1, 700), 999).await;
    let message = "out of luck".to_owned();
    emulator.add_fault(Fault::once(
        "exportDataRowsInModelRun",
        FaultKind::Fails { message },
    ));
    let failed = header(&emulator, &begin_export(&emulator, &run).await).await;
    assert_eq!(
        (&failed["status"], &failed["errors"]),
        (&json!("FAILED"), &json!("out of luck"))
    );
    let slow = FaultKind::Takes {
        milliseconds: 600_000,
    };
    emulator.add_fault(Fault::once("exportDataRowsInModelRun", slow));
    let slow = header(&emulator, &begin_export(&emulator, &run).await).await;
    assert_eq!(
        (&slow["status"], &slow["exportMetadataHeader"]),
        (&json!("IN_PROGRESS"), &Value::Null)
    );
}

#[tokio::test]
async fn a_file_needs_no_key_but_its_whole_address() {
    let (emulator, run) = start(Dataset::digits(), 10_007).await;
    let task = begin_export(&emulator, &run).await;
    fetch(&emulator, &task).await;
    let path = emulator.file_requests()[0].clone();
    let url = format!("http://{}{path}", emulator.address());
    let bare = client().get(&url).send().await.expect("an answer");
    assert_eq!(bare.status(), 403);
    let forged = client()
        .get(format!("{url}?expires=99999999999&signature=00"))
        .send()
        .await;
    assert_eq!(forged.expect("an answer").status(), 403);
}

#[tokio::test]
async fn a_file_can_be_fetched_from_anywhere_in_it_and_is_cut_on_demand() {
    let (emulator, run) = start(Dataset::digits(), 10_007).await;
    let query = "query x($run: ID!){annotationGroups(where: {modelRunId: {id: $run}}, first: 1){nodes{dataRow{rowData}}}}";
    let page = data(&emulator, query, json!({ "run": run })).await;
    let url = page["annotationGroups"]["nodes"][0]["dataRow"]["rowData"]
        .as_str()
        .expect("an address");
    let whole = client()
        .get(url)
        .send()
        .await
        .expect("an answer")
        .bytes()
        .await
        .expect("a body");
    let rest = client()
        .get(url)
        .header("range", "bytes=50-")
        .send()
        .await
        .expect("an answer");
    assert_eq!(rest.status(), 206);
    assert_eq!(
        rest.headers()["content-range"],
        format!("bytes 50-{}/{}", whole.len() - 1, whole.len())
    );
    assert_eq!(rest.bytes().await.expect("a body"), whole[50..]);
    emulator.add_fault(Fault::once(
        "/files/media",
        FaultKind::TruncateBody { bytes: 20 },
    ));
    let cut = client().get(url).send().await.expect("a head");
    assert_eq!(cut.content_length(), Some(whole.len() as u64));
    cut.bytes().await.expect_err("less than was announced");
}

#[tokio::test]
async fn a_file_that_is_here_is_not_sent_again_and_another_one_not_taken_up() {
    let (emulator, run) = start(Dataset::digits(), 10_007).await;
    let query = "query x($run: ID!){annotationGroups(where: {modelRunId: {id: $run}}, first: 1){nodes{dataRow{rowData}}}}";
    let page = data(&emulator, query, json!({ "run": run })).await;
    let url = page["annotationGroups"]["nodes"][0]["dataRow"]["rowData"].clone();
    let url = url.as_str().expect("an address");
    let get = async |headers: &[(&str, &str)]| {
        let mut get = client().get(url);
        for (name, value) in headers {
            get = get.header(*name, *value);
        }
        get.send().await.expect("an answer")
    };
    let tag = get(&[]).await.headers()["etag"].clone();
    let tag = tag.to_str().expect("text");
    assert_eq!(get(&[("if-none-match", tag)]).await.status(), 304);
    let other = "\"other\"";
    assert_eq!(get(&[("if-none-match", other)]).await.status(), 200);
    let from = ("range", "bytes=50-");
    assert_eq!(get(&[from, ("if-range", tag)]).await.status(), 206);
    assert_eq!(get(&[from, ("if-range", other)]).await.status(), 200);
}

/// The lines of the whole export of a dataset.
async fn exported(dataset: Arc<Dataset>) -> (Emulator, Vec<Vec<u8>>) {
    let (emulator, run) = start(dataset, 1 << 20).await;
    let task = begin_export(&emulator, &run).await;
    let (all, _) = fetch(&emulator, &task).await;
    let lines = all.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec);
    let lines = lines.collect();
    (emulator, lines)
}

#[tokio::test]
async fn a_mask_asks_for_a_key_and_fills_its_box() {
    let (emulator, lines) = exported(Dataset::shapes()).await;
    assert_eq!(lines.len(), 120);
    let row = Row::read(&lines[3]).expect("a row");
    let objects: Vec<&Object> = row
        .labels()
        .flat_map(|label| &label.annotations.objects)
        .collect();
    let (boxed, masked) = (objects[0], objects[2]);
    assert_eq!(masked.name, format!("{} mask", boxed.name));
    let url = &masked.mask.as_ref().expect("a mask").url;
    let bare = client().get(url).send().await.expect("an answer");
    assert_eq!(bare.status(), 401);
    let mask = client().get(url).bearer_auth("any-key").send().await;
    let mask = mask.expect("an answer").bytes().await.expect("a body");
    // Behind 48 bytes of heads each line of 64 pixels begins with the number of its filter.
    let pixels = mask[48..].iter().take(64 * 65).enumerate();
    let white = pixels.filter(|(_, pixel)| **pixel == 255);
    let white: Vec<(usize, usize)> = white.map(|(at, _)| (at % 65 - 1, at / 65)).collect();
    let BoundingBox {
        left,
        top,
        width,
        height,
    } = boxed.bounding_box.expect("a box");
    let ends = |places: Vec<usize>| {
        let (first, last) = (places.iter().min(), places.iter().max());
        (*first.expect("some") as f64, *last.expect("some") as f64)
    };
    let columns = ends(white.iter().map(|(x, _)| *x).collect());
    let rows = ends(white.iter().map(|(_, y)| *y).collect());
    assert_eq!(columns, (left, left + width - 1.0));
    assert_eq!(rows, (top, top + height - 1.0));
    drop(emulator);
}

#[tokio::test]
async fn entities_are_where_they_are_said_to_be() {
    let (_emulator, lines) = exported(Dataset::entities()).await;
    assert_eq!(lines.len(), 300);
    let mut entities = 0;
    for line in &lines {
        let row = Row::read(line).expect("a row");
        let text: Vec<char> = row
            .data_row
            .row_data
            .as_deref()
            .expect("a text")
            .chars()
            .collect();
        for object in row.labels().flat_map(|label| &label.annotations.objects) {
            let place = object.location.expect("a place");
            let (start, end) = (place.start as usize, place.end as usize);
            let marked: String = text[start..=end].iter().collect();
            let token = format!("\"token\":{}", json!(marked));
            assert!(String::from_utf8_lossy(line).contains(&token), "{token}");
            entities += 1;
        }
    }
    assert!(entities > 400, "{entities}");
}

/// Imports lines as a form, and answers what the call was answered.
async fn import(emulator: &Emulator, run: &str, name: &str, lines: &str) -> Value {
    let query = "mutation x($run: ID!, $name: String!, $file: Upload!){createModelErrorAnalysisPredictionImport\
                 (data: {modelRunId: $run, name: $name, filePayload: {file: $file}}){state}}";
    let operations =
        json!({ "query": query, "variables": { "run": run, "name": name, "file": null } });
    let part = |name: &str, content: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
    };
    let form = part("operations", &operations.to_string())
        + &part("map", r#"{"f": ["variables.file"]}"#)
        + &part("f", lines)
        + "--b--\r\n";
    let url = format!("http://{}/graphql", emulator.address());
    let post = client()
        .post(url)
        .bearer_auth("any-key")
        .header("content-type", "multipart/form-data; boundary=b");
    post.body(form)
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON")
}

fn line(number: u32, answer: &str) -> String {
    let uuid = format!("00000000-0000-4000-8000-{number:012}");
    let (row, answer) = (
        json!({ "globalKey": format!("row-{number:09}") }),
        json!({ "name": answer }),
    );
    json!({ "uuid": uuid, "dataRow": row, "name": "kind", "answer": answer }).to_string()
}

#[tokio::test]
async fn a_name_is_imported_once_and_a_uuid_is_taken_once() {
    let (emulator, run) = start(Dataset::generated(10, 700), 999).await;
    let lines = [
        line(1, "kind-b"),
        line(2, "kind-a"),
        line(3, "kind-x"),
        line(11, "kind-a"),
        line(1, "kind-b"),
    ];
    let first = import(&emulator, &run, "one", &lines.join("\n")).await;
    assert_eq!(
        first["data"]["createModelErrorAnalysisPredictionImport"]["state"], "FINISHED",
        "{first}"
    );
    let again = import(&emulator, &run, "one", &lines.join("\n")).await;
    assert_eq!(
        again["errors"][0]["extensions"]["code"],
        "RESOURCE_CONFLICT"
    );
    let summary = emulator.predictions(&run).expect("a run");
    assert_eq!((summary.predictions, summary.repeated_imports), (2, 1));
    assert_eq!(
        (summary.imports[0].lines, summary.imports[0].refused),
        (5, 3)
    );
    let kind = &summary.features["kind"];
    assert_eq!((kind.labels, kind.right, kind.accuracy), (2, 1, Some(0.5)));
    let found = data(&emulator, IMPORT, json!({ "run": run, "name": "one" })).await;
    let url = found["modelErrorAnalysisPredictionImport"]["statusFileUrl"]
        .as_str()
        .expect("an address");
    let statuses = client()
        .get(url)
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("text");
    let statuses: Vec<Value> = statuses
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let words: Vec<&str> = statuses
        .iter()
        .filter_map(|status| status["status"].as_str())
        .collect();
    assert_eq!(
        words,
        ["SUCCESS", "SUCCESS", "FAILURE", "FAILURE", "FAILURE"]
    );
}

#[tokio::test]
async fn an_import_runs_fails_and_refuses_lines_on_demand() {
    let (emulator, run) = start(Dataset::generated(10, 700), 999).await;
    let lines: Vec<String> = (1..7).map(|number| line(number, "kind-a")).collect();
    let (lines, create) = (lines.join("\n"), "createModelErrorAnalysisPredictionImport");
    let state = |answer: Value| answer["data"][create]["state"].clone();
    emulator.add_fault(Fault::once(
        create,
        FaultKind::Takes {
            milliseconds: 600_000,
        },
    ));
    assert_eq!(state(import(&emulator, &run, "slow", "").await), "RUNNING");
    let message = String::new();
    emulator.add_fault(Fault::once(create, FaultKind::Fails { message }));
    assert_eq!(
        state(import(&emulator, &run, "failed", &lines).await),
        "FAILED"
    );
    emulator.add_fault(Fault::once(create, FaultKind::RefusesEvery { lines: 3 }));
    assert_eq!(
        state(import(&emulator, &run, "some", &lines).await),
        "FINISHED"
    );
    let summary = emulator.predictions(&run).expect("a run");
    assert_eq!(summary.predictions, 4);
}

#[test]
fn a_users_own_export_is_a_dataset_and_its_bad_lines_are_located() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("export.ndjson");
    let row = |id: &str, answer: &str| {
        let answer =
            json!({ "name": answer, "value": answer, "feature_schema_id": format!("s-{answer}") });
        let answered =
            json!({ "name": "animal", "feature_schema_id": "s-animal", "radio_answer": answer });
        let annotations = json!({ "objects": [], "classifications": [answered] });
        let run = json!({ "labels": [{ "annotations": annotations }], "data_split": "TEST" });
        json!({ "data_row": { "id": id, "row_data": "x" }, "experiments": { "m": { "runs": { "r": run } } } })
    };
    std::fs::write(
        &file,
        format!("{}\n\n{}\n", row("a", "cat"), row("b", "dog")),
    )
    .expect("written");
    let dataset = Dataset::read(&file).expect("a dataset");
    assert_eq!(dataset.len(), 2);
    std::fs::write(&file, format!("{}\n{{}}\n", row("a", "cat"))).expect("written");
    let bad = Dataset::read(&file).expect_err("no row").to_string();
    assert!(
        bad.contains("line 2") && bad.contains("data_row.id"),
        "{bad}"
    );
}
