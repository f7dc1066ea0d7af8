//! A user's own export goes in, and comes out again as it was.

use std::{fs, path::Path, sync::Arc};

use serde_json::{Value, json};
use tempfile::TempDir;
use trainhook::emulator::{Dataset, Emulator};

use super::{super::client, EXPORT, begin_export, data, fetch, header, start};

/// An answer from a list, and what was asked after it.
fn answer(name: &str, after: &[Value]) -> Value {
    json!({ "feature_id": format!("f-{name}"), "feature_schema_id": format!("s-{name}"), "name": name,
            "value": name.to_lowercase().replace(' ', "_"), "classifications": after })
}

fn radio(question: &str, given: Value) -> Value {
    json!({ "feature_schema_id": format!("q-{question}"), "name": question, "value": question, "radio_answer": given })
}

fn checklist(question: &str, given: &[Value]) -> Value {
    json!({ "feature_schema_id": format!("q-{question}"), "name": question, "value": question, "checklist_answers": given })
}

fn text(question: &str, given: &str) -> Value {
    json!({ "feature_schema_id": format!("q-{question}"), "name": question, "value": question,
            "text_answer": { "content": given } })
}

fn said(id: &str, objects: &[Value], classifications: &[Value]) -> Value {
    json!({ "label_kind": "Default", "version": "1.0.0", "id": id,
            "annotations": { "objects": objects, "classifications": classifications, "relationships": [] } })
}

fn row(id: &str, labels: &[Value], predictions: &[Value]) -> Value {
    let run =
        json!({ "name": "r", "labels": labels, "predictions": predictions, "data_split": "TEST" });
    json!({
        "data_row": { "id": id, "global_key": format!("key-{id}"), "row_data": "x" }, "media_attributes": {},
        "experiments": { "m": { "name": "m", "runs": { "r": run } } },
    })
}

/// Two labellers, of whom one was asked further; nobody; a model that knew an answer which no person gave.
fn rows() -> Vec<Value> {
    let fur = checklist(
        "Fur",
        &[
            answer("Spotted", &[text("Where", "the tail")]),
            answer("Long", &[]),
        ],
    );
    let occluded = radio(
        "Occluded",
        answer("Yes", &[radio("By what", answer("A tree", &[]))]),
    );
    let head = json!({
        "feature_schema_id": "t-Head", "name": "Head", "value": "head", "annotation_kind": "ImageBoundingBox",
        "classifications": [occluded], "bounding_box": { "top": 1.0, "left": 2.0, "height": 3.0, "width": 4.0 },
    });
    let first = said(
        "label-1",
        &[head],
        &[radio("Animal", answer("Big cat", &[fur]))],
    );
    let second = said("label-2", &[], &[radio("Animal", answer("Dog", &[]))]);
    let mut predicted = said(
        "prediction-1",
        &[],
        &[radio("Animal", answer("Horse", &[]))],
    );
    predicted["annotations"]["classifications"][0]["radio_answer"]["confidence"] = json!(0.25);
    vec![
        row("a", &[first, second], &[]),
        row("b", &[], &[]),
        row(
            "c",
            &[said("label-3", &[], &[radio("Animal", answer("Dog", &[]))])],
            &[predicted],
        ),
    ]
}

/// What of a question is the user's own.
fn question(kept: &Value) -> Value {
    let options = kept["options"].as_array().expect("options").iter();
    let options = options.map(|option| {
        let after = option["options"]
            .as_array()
            .expect("questions")
            .iter()
            .map(question);
        json!([
            option["label"],
            option["value"],
            option["featureSchemaId"],
            after.collect::<Value>()
        ])
    });
    json!([
        kept["name"],
        kept["type"],
        kept["featureSchemaId"],
        options.collect::<Value>()
    ])
}

fn questions(kept: &Value) -> Value {
    kept["classifications"]
        .as_array()
        .expect("questions")
        .iter()
        .map(question)
        .collect()
}

async fn ontology(emulator: &Emulator, model: &str) -> Value {
    let query = "query x($id: ID!){model(where: {id: $id}){ontologyId}}";
    let of = data(emulator, query, json!({ "id": model })).await["model"]["ontologyId"].clone();
    let query = "query x($id: ID!){ontology(where: {id: $id}){normalized}}";
    data(emulator, query, json!({ "id": of })).await["ontology"]["normalized"].clone()
}

/// The lines of an export with predictions, and the ontology, of a run with the rows of that file.
async fn played(file: &Path) -> (Vec<Value>, Value) {
    let dataset = Dataset::read(file).expect("a dataset");
    let (emulator, _) = start(dataset, 100).await;
    let (model, run) = emulator.create_model_run(None, "a run");
    let input = json!({
        "filters": { "modelRunId": run }, "params": { "includePredictions": true }, "streamable": true,
    });
    let begun = data(&emulator, EXPORT, json!({ "input": input })).await;
    let task = begun["exportDataRowsInModelRun"]["taskId"]
        .as_str()
        .expect("an id");
    let (all, _) = fetch(&emulator, task).await;
    let lines = all
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let lines = lines.map(|line| serde_json::from_slice(line).expect("JSON"));
    (lines.collect(), ontology(&emulator, &model).await)
}

fn file_of(rows: &[Value]) -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = folder.path().join("export.ndjson");
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(&file, lines).expect("the folder is writable");
    (folder, file)
}

/// Labels and predictions of a line, whatever its run is called.
fn kept(line: &Value) -> [Value; 2] {
    let first = |value: &Value| value.as_object().and_then(|of| of.values().next().cloned());
    let model = first(&line["experiments"]).expect("a model");
    let run = first(&model["runs"]).expect("a run");
    [run["labels"].clone(), run["predictions"].clone()]
}

#[tokio::test]
async fn labels_and_predictions_come_out_as_they_went_in() {
    let rows = rows();
    let (_folder, file) = file_of(&rows);
    let (lines, ontology) = played(&file).await;
    assert_eq!(lines.len(), 3);
    for (line, row) in lines.iter().zip(&rows) {
        assert_eq!(line["data_row"], row["data_row"]);
        assert_eq!(kept(line), kept(row));
    }
    assert_eq!(
        kept(&lines[1]),
        [json!([]), json!([])],
        "nobody has labelled it"
    );
    // What came out can go in again.
    let (_folder, file) = file_of(&lines);
    let (again, same) = played(&file).await;
    assert_eq!(
        again.iter().map(kept).collect::<Vec<_>>(),
        lines.iter().map(kept).collect::<Vec<_>>()
    );
    assert_eq!(same, ontology);
}

#[tokio::test]
async fn the_ontology_holds_what_was_asked_after_an_answer() {
    let (_folder, file) = file_of(&rows());
    let (_, ontology) = played(&file).await;
    let where_it_is = json!([["Where", "text", "q-Where", []]]);
    let fur = json!([
        "Fur",
        "checklist",
        "q-Fur",
        [
            ["Spotted", "spotted", "s-Spotted", where_it_is],
            ["Long", "long", "s-Long", []]
        ]
    ]);
    let animal = json!([
        "Animal",
        "radio",
        "q-Animal",
        [
            ["Big cat", "big_cat", "s-Big cat", [fur]],
            ["Dog", "dog", "s-Dog", []],
            ["Horse", "horse", "s-Horse", []]
        ]
    ]);
    assert_eq!(questions(&ontology), json!([animal]));
    let head = &ontology["tools"][0];
    assert_eq!(
        [&head["name"], &head["tool"], &head["featureSchemaId"]],
        ["Head", "rectangle", "t-Head"]
    );
    let by_what = json!([
        "By what",
        "radio",
        "q-By what",
        [["A tree", "a_tree", "s-A tree", []]]
    ]);
    let occluded = json!([
        "Occluded",
        "radio",
        "q-Occluded",
        [["Yes", "yes", "s-Yes", [by_what]]]
    ]);
    assert_eq!(questions(head), json!([occluded]));
}

#[tokio::test]
async fn predictions_are_exported_to_whoever_asks_for_them() {
    let (_folder, file) = file_of(&rows());
    let (emulator, run) = start(Dataset::read(&file).expect("a dataset"), 1 << 20).await;
    let task = begin_export(&emulator, &run).await;
    let (all, _) = fetch(&emulator, &task).await;
    assert!(!String::from_utf8_lossy(&all).contains("predictions"));
}

#[test]
fn labels_that_are_no_list_are_located() {
    let mut bad = rows();
    bad[1]["experiments"]["m"]["runs"]["r"]["labels"] = json!({ "id": "label-1" });
    let (_folder, file) = file_of(&bad);
    let error = Dataset::read(&file).expect_err("no list").to_string();
    assert!(error.contains("line 2: its labels are no list"), "{error}");
    bad[1]["experiments"]["m"]["runs"]["r"]["labels"] = json!(["label-1"]);
    let (_folder, file) = file_of(&bad);
    let error = Dataset::read(&file).expect_err("no label").to_string();
    assert!(
        error.contains("line 2: one of its labels is no object"),
        "{error}"
    );
}

/// So many that their export takes a while to make.
fn many() -> Arc<Dataset> {
    let many: Vec<Value> = (0..3_000)
        .map(|at| {
            let labels = vec![radio("Animal", answer("Dog", &[])); 10];
            row(&format!("row-{at}"), &[said("label", &[], &labels)], &[])
        })
        .collect();
    let (_folder, file) = file_of(&many);
    Dataset::read(&file).expect("a dataset")
}

#[tokio::test]
async fn others_have_their_answers_while_a_large_export_is_made() {
    let (emulator, run) = start(many(), 1 << 20).await;
    let (client, url) = (client(), emulator.graphql_url());
    let question = json!({ "query": "query x{user{id}}" });
    let mut export = Box::pin(begin_export(&emulator, &run));
    let mut answered = 0;
    let task = loop {
        let other = client
            .post(&url)
            .bearer_auth("any-key")
            .json(&question)
            .send();
        tokio::select! {
            task = &mut export => break task,
            answer = other => {
                assert!(answer.expect("an answer").status().is_success());
                answered += 1;
            }
        }
    };
    assert!(answered >= 5, "only {answered} had an answer meanwhile");
    let header = header(&emulator, &task).await;
    assert_eq!(header["exportMetadataHeader"]["totalLines"], 3_000);
}
