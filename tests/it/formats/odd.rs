//! Rows in which something is null, missing, or of a shape that nobody has seen yet.

use std::fs;

use serde_json::{Value, json};
use trainhook::{
    config::Format,
    dataset::{Row, RowHead, Split},
    emulator::Dataset,
    formats::{FormatError, Note, Written},
};

use super::{Exported, boxed, images_of, labelled, objects, tool};
use crate::support::stack::{Stack, job_id, model};

fn texts() -> Exported {
    Exported::of(json!({
        "id": "o", "name": "things", "media_type": "TEXT", "tools": [tool("x", "named-entity")],
        "classifications": [{ "name": "q", "schema_id": "q", "kind": "radio",
            "options": [{ "name": "yes", "schema_id": "yes", "value": "yes" }] }],
    }))
}

fn text_row(id: &str, annotations: Value) -> Value {
    let mut row = labelled(id, annotations);
    row["data_row"]["row_data"] = "Ann met Lee".into();
    row
}

fn entity(location: &Value) -> Value {
    json!({ "name": "x", "annotation_kind": "TextEntity", "location": location })
}

fn rows_of(exported: &Exported, path: &str) -> Vec<Value> {
    let text = fs::read_to_string(exported.path("data").join(path)).expect("a file");
    let lines = text.lines().map(serde_json::from_str);
    lines.map(|line| line.expect("a line")).collect()
}

#[track_caller]
fn noted(written: &Written, note: Note) -> (u64, &str) {
    let noted = written.notes.of(note);
    noted.map_or((0, ""), |noted| (noted.count, &*noted.first))
}

#[test]
fn a_null_is_as_good_as_nothing() {
    let exported = texts();
    let nulls = [
        json!({ "media_attributes": null }),
        json!({ "experiments": null }),
        json!({ "experiments": { "m": null } }),
        json!({ "experiments": { "m": { "runs": null } } }),
        json!({ "experiments": { "m": { "runs": { "r": null } } } }),
        json!({ "experiments": { "m": { "runs": { "r": { "labels": null } } } } }),
        json!({ "experiments": { "m": { "runs": { "r": { "labels": [null] } } } } }),
        json!({ "experiments": { "m": { "runs": { "r": { "labels": [{ "annotations": null }] } } } } }),
    ];
    for (at, more) in nulls.iter().enumerate() {
        let mut row = text_row(&format!("n{at}"), Value::Null);
        row["data_row"]["global_key"] = Value::Null;
        row["media_attributes"] = json!({ "width": null, "mime_type": null });
        for (key, value) in more.as_object().expect("an object") {
            row[key] = value.clone();
        }
        exported.row(Split::Training, &row);
    }
    let neither = json!({ "objects": null, "classifications": null });
    exported.row(Split::Training, &text_row("neither", neither));
    let among = json!({
        "objects": [null, { "name": "x", "classifications": null, "bounding_box": null, "mask": null,
            "location": { "start": 0, "end": 2, "token": null } }],
        "classifications": [null, { "name": "q", "checklist_answers": null,
            "radio_answer": { "name": "yes", "feature_schema_id": null, "classifications": null } }],
    });
    exported.row(Split::Training, &text_row("among", among));
    let written = exported.write_all();
    assert_eq!(written.rows, 10);
    assert!(written.notes.is_empty(), "{}", written.notes);
    let rows = rows_of(&exported, "hf/training.jsonl");
    assert_eq!(rows.len(), 10);
    assert_eq!(rows[9]["ner_tags"], json!(["B-x", "O", "O"]));
    assert_eq!(rows[9]["label"], "yes");
}

#[test]
fn what_cannot_be_read_is_noted_and_what_stands_beside_it_stays() {
    let exported = texts();
    let odd = [
        entity(&json!({ "end": 2 })),
        entity(&json!({ "start": null, "end": 2 })),
        entity(&json!({ "start": -1, "end": 2 })),
        entity(&json!({ "groups": [{ "page_number": 1, "tokens": [] }] })),
        entity(&json!("0-2")),
        entity(&json!([0, 2])),
        json!(7),
        json!({ "name": "x", "annotation_kind": "SomethingNew", "something": { "new": 1 } }),
        entity(&json!({ "start": 8, "end": 10 })),
    ];
    let answers = json!([
        { "name": "q", "radio_answer": "yes" }, "yes", { "name": "q", "radio_answer": { "name": "yes" } },
    ]);
    let row = text_row("a", json!({ "objects": odd, "classifications": answers }));
    exported.row(Split::Training, &row);
    let mut strange = text_row("b", Value::Null);
    strange["experiments"] = json!({ "m": { "runs": [] } });
    strange["media_attributes"] = json!("none");
    strange["data_row"]["global_key"] = json!(5);
    exported.row(Split::Training, &strange);
    let written = exported.write_all();
    assert_eq!(noted(&written, Note::UnreadableObject), (7, "a"));
    assert_eq!(noted(&written, Note::OtherKind), (1, "a"));
    assert_eq!(noted(&written, Note::UnreadableAnswer), (2, "a"));
    assert_eq!(noted(&written, Note::UnreadableLabels), (1, "b"));
    let rows = rows_of(&exported, "hf/training.jsonl");
    assert_eq!(rows[0]["ner_tags"], json!(["O", "O", "B-x"]));
    assert_eq!(rows[0]["label"], "yes");
    assert_eq!(rows.len(), 1, "what nobody can read teaches nothing");
}

#[test]
fn an_image_whose_objects_nobody_can_read_is_no_image_without_objects() {
    let exported = Exported::of(images_of(&[tool("car", "rectangle")]));
    let mut broken = boxed("car", [1.0, 1.0, 2.0, 2.0]);
    broken["bounding_box"] = json!("moved elsewhere");
    let sound = boxed("car", [1.0, 1.0, 2.0, 2.0]);
    for (id, object) in [("a", broken), ("b", sound)] {
        let annotations = json!({ "objects": [object], "classifications": [] });
        exported.image(Split::Training, id, (8, 8), annotations);
    }
    let written = exported.write_all();
    assert_eq!(noted(&written, Note::UnreadableObject), (1, "a"));
    let coco = fs::read(exported.path("data/coco/training.json")).expect("a file");
    let coco: Value = serde_json::from_slice(&coco).expect("JSON");
    let images = coco["images"].as_array().expect("a list");
    assert_eq!(images.len(), 1, "{images:?}");
}

#[test]
fn a_box_beside_one_that_cannot_be_read_is_drawn() {
    let exported = Exported::of(images_of(&[tool("car", "rectangle")]));
    let mut broken = boxed("car", [1.0, 1.0, 2.0, 2.0]);
    broken["bounding_box"]["left"] = Value::Null;
    let mut known = boxed("car", [1.0, 1.0, 2.0, 2.0]);
    known["classifications"] = json!("none");
    exported.image(
        Split::Training,
        "a",
        (8, 8),
        objects(json!([broken, known])),
    );
    let written = exported.write(&[Format::Coco]);
    assert_eq!(noted(&written, Note::UnreadableObject), (1, "a"));
    let coco = fs::read(exported.path("data/coco/training.json")).expect("a file");
    let coco: Value = serde_json::from_slice(&coco).expect("JSON");
    assert_eq!(coco["annotations"].as_array().expect("a list").len(), 1);
}

#[test]
fn a_line_that_is_no_row_is_told_in_words_for_people() {
    let no_id = "it is no JSON object with a data_row that has an id";
    for (line, wanted) in [
        ("{\"data_row\":{\"id\":7}}", no_id),
        ("{\"data_row\":null}", no_id),
        ("{}", no_id),
        ("[1]", no_id),
        (
            "{\"data_row\":{\"id\"",
            "it breaks off or is no JSON at column 17",
        ),
    ] {
        let head = RowHead::read(line.as_bytes()).expect_err(line);
        assert_eq!(head.to_string(), wanted);
        let row = Row::read(line.as_bytes()).expect_err(line);
        assert_eq!(row.to_string(), wanted);
    }
}

#[test]
fn formats_that_would_hold_nothing_to_learn_from_are_no_formats() {
    let bare = |id: &str| labelled(id, Value::Null);
    let exported = Exported::of(images_of(&[tool("car", "rectangle")]));
    exported.row(Split::Test, &bare("a"));
    exported.row(Split::Test, &bare("b"));
    for format in Format::ALL {
        let error = exported.try_write(&[format]).expect_err("nothing is left");
        assert!(
            matches!(error, FormatError::NothingLeft { rows: 2, .. }),
            "{error}"
        );
        let words = "none of the 2 rows can be written in the model's formats: 2 rows have no file and were left out \
                     (the first: a)";
        assert_eq!(error.to_string(), words);
    }
    exported.image(Split::Test, "c", (8, 8), Value::Null);
    assert_eq!(exported.write(&Format::ALL).rows, 3);
    exported.row(Split::Training, &bare("d"));
    let error = exported
        .try_write(&[Format::Yolo])
        .expect_err("nothing is left");
    assert!(
        error
            .to_string()
            .starts_with("none of the 1 rows for training can"),
        "{error}"
    );
}

#[test]
fn the_first_row_of_which_the_kind_is_known_tells_what_the_run_is_of() {
    let exported = Exported::of(json!({ "id": "o", "name": "things" }));
    let mut unknown = labelled("a", Value::Null);
    unknown["media_attributes"] = Value::Null;
    exported.row(Split::Training, &unknown);
    exported.image(Split::Training, "b", (8, 8), Value::Null);
    assert_eq!(exported.write(&[Format::Coco]).rows, 2);
}

/// What an export of texts has at times.
const ODD_TEXTS: &str = r#"
{"data_row":{"id":"a","global_key":null,"row_data":"Ann met Lee"},"media_attributes":null,"experiments":{"m":{"runs":{"r":{"data_split":"training","labels":[{"annotations":{"objects":[{"name":"x","annotation_kind":"TextEntity","classifications":null,"location":{"start":0,"end":2}},{"name":"x","annotation_kind":"TextEntity","location":{"start":null,"end":2}},7],"classifications":null}}]}}}}}
{"data_row":{"id":"b","row_data":"Lee ran"},"media_attributes":null,"experiments":{"m":{"runs":{"r":{"data_split":"training","labels":[{"annotations":{"objects":[{"name":"x","annotation_kind":"TextEntity","location":null}],"classifications":[]}}]}}}}}
"#;

fn with_formats(slug: &str, script: &str, formats: &str) -> String {
    let settings =
        format!("formats = [\"{formats}\"]\nexport = {{ files = true }}\npredictions = \"none\"");
    model(slug, script, &settings).replace("export = false\n", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_odd_rows_is_trained_and_people_are_told() {
    let stack = Stack::start(&with_formats(
        "texts",
        "cp \"$TRAINHOOK_DATA_DIR/hf/training.jsonl\" seen",
        "hf",
    ))
    .await;
    let file = stack.folder.path().join("odd.ndjson");
    fs::write(&file, ODD_TEXTS.trim_start()).expect("a file");
    let run = stack.run_with(&Dataset::read(&file).expect("an export"));
    let id = job_id(&stack.click(&run, "texts").await);
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("seen").len(), 2);
    let manifest = stack
        .folder
        .path()
        .join(format!("jobs/{id}/data/manifest.json"));
    let manifest: Value =
        serde_json::from_slice(&fs::read(manifest).expect("a file")).expect("JSON");
    let notes = manifest["format_notes"].as_str().expect("notes");
    assert!(
        notes.contains("2 objects could not be read and were left out (the first: a)"),
        "{notes}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_which_nothing_is_left_fails_and_starts_nothing() {
    let stack = Stack::start(&with_formats("boxes", "echo ran > ran", "coco")).await;
    let file = stack.folder.path().join("odd.ndjson");
    let row = json!({
        "data_row": { "id": "a", "row_data": "no address" },
        "media_attributes": { "width": 8, "height": 8, "mime_type": "image/png" },
    });
    fs::write(&file, row.to_string()).expect("a file");
    let run = stack.run_with(&Dataset::read(&file).expect("an export"));
    stack.click(&run, "boxes").await;
    let told = stack.told(&run, "FAILED").await;
    let reason = told.iter().find_map(|entry| entry.error_message.clone());
    let words = "none of the 1 rows for training can be written in the model's formats: 1 rows have no file";
    assert!(reason.expect("a reason").starts_with(words), "{told:?}");
    assert!(stack.lines("ran").is_empty());
}
