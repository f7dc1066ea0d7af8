//! What the data sets hold.

use std::sync::Arc;

use serde_json::{Value, json};
use trainhook::{
    dataset::{BoundingBox, Object, Row},
    emulator::{Dataset, Emulator},
};

use super::{super::client, begin_export, data, fetch, start};

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

#[tokio::test]
async fn a_row_that_nobody_has_labelled_has_no_label() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("export.ndjson");
    let row = |id: &str, labels: Value| {
        let run = json!({ "labels": labels });
        json!({ "data_row": { "id": id }, "experiments": { "m": { "runs": { "r": run } } } })
    };
    let empty = json!([{ "annotations": { "objects": [], "classifications": [] } }]);
    let lines = format!("{}\n{}\n", row("a", json!([])), row("b", empty));
    std::fs::write(&file, lines).expect("written");
    let (_emulator, lines) = exported(Dataset::read(&file).expect("a dataset")).await;
    let labels = lines.iter().map(|line| {
        let row = Row::read(line).expect("a row");
        row.labels().count()
    });
    assert_eq!(labels.collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test]
async fn questions_below_an_answer_are_learned_from_a_users_own_export() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("export.ndjson");
    let answered = |name: &str, answer: &str, below: Value| json!({ "name": name, "radio_answer": { "name": answer, "classifications": below } });
    let lines = [
        ("dry", json!([])),
        ("wet", json!([answered("how wet", "very", json!([]))])),
    ];
    let lines = lines.map(|(answer, below)| {
        let annotations =
            json!({ "objects": [], "classifications": [answered("weather", answer, below)] });
        let project = json!({ "labels": [{ "annotations": annotations }] });
        json!({ "data_row": { "id": answer }, "projects": { "p": project } }).to_string() + "\n"
    });
    std::fs::write(&file, lines.concat()).expect("written");
    let (emulator, _) = start(Dataset::read(&file).expect("a dataset"), 1 << 20).await;
    let (model, _) = emulator.create_model_run(None, "a run");
    let query = "query x($id: ID!){model(where: {id: $id}){ontologyId}}";
    let found = data(&emulator, query, json!({ "id": model })).await;
    let query = "query x($id: ID!){ontology(where: {id: $id}){normalized}}";
    let id = json!({ "id": found["model"]["ontologyId"] });
    let found = data(&emulator, query, id).await;
    let wet = &found["ontology"]["normalized"]["classifications"][0]["options"][1];
    assert_eq!(wet["label"], "wet");
    let below = &wet["options"][0];
    assert_eq!(
        (&below["name"], &below["options"][0]["label"]),
        (&json!("how wet"), &json!("very"))
    );
}
