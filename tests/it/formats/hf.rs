//! What Hugging Face's `datasets` finds.

use serde_json::{Value, json};
use trainhook::{config::Format, dataset::Split, formats::Note};

use super::{Exported, boxed, images_of, labelled, tool};

fn question(name: &str, kind: &str, options: &[&str]) -> Value {
    let option =
        |name: &&str| json!({ "name": name, "schema_id": format!("option {name}"), "value": name });
    let options: Vec<Value> = options.iter().map(option).collect();
    json!({ "name": name, "schema_id": format!("question {name}"), "kind": kind, "options": options })
}

fn radio(name: &str, answer: &str) -> Value {
    json!({ "name": name, "radio_answer": { "name": answer, "classifications": [] } })
}

fn checklist(name: &str, answers: &[&str]) -> Value {
    let answers: Vec<Value> = answers.iter().map(|name| json!({ "name": name })).collect();
    json!({ "name": name, "checklist_answers": answers })
}

fn answers(answers: Value) -> Value {
    json!({ "objects": [], "classifications": answers })
}

fn texts_of(tools: &[Value], questions: &[Value]) -> Exported {
    Exported::of(json!({
        "id": "o", "name": "things", "media_type": "TEXT", "tools": tools, "classifications": questions,
    }))
}

fn text(exported: &Exported, split: Split, id: &str, text: &str, annotations: Value) {
    let mut row = labelled(id, annotations);
    row["data_row"]["row_data"] = text.into();
    exported.row(split, &row);
}

fn entity(name: &str, start: u64, end: u64) -> Value {
    let location = json!({ "start": start, "end": end, "token": "" });
    json!({ "name": name, "annotation_kind": "TextEntity", "location": location })
}

fn entities(entities: Value) -> Value {
    json!({ "objects": entities, "classifications": [] })
}

#[test]
fn images_come_with_their_answers_as_classes_and_lists() {
    let mut ontology = images_of(&[tool("wheel", "rectangle")]);
    ontology["classifications"] = json!([
        question("kind", "radio", &["cat", "dog"]),
        question("seen, too", "checklist", &["hat", "bell"]),
        question("image", "text", &[]),
    ]);
    let exported = Exported::of(ontology);
    let said = json!({ "name": "image", "text_answer": { "content": "blurred" } });
    let mut label = answers(json!([
        radio("kind", "dog"),
        checklist("seen, too", &["hat", "bell"]),
        said
    ]));
    label["objects"] = json!([boxed("wheel", [1.0, 2.0, 3.0, 4.0])]);
    exported.image(Split::Training, "a", (8, 8), Value::Null);
    exported.image(Split::Training, "b", (8, 4), label);
    exported.image(
        Split::Validation,
        "c",
        (6, 8),
        answers(json!([radio("kind", "cat")])),
    );
    exported.image(Split::Unassigned, "d", (8, 8), Value::Null);
    let written = exported.write(&[Format::Hf]);
    assert!(written.notes.is_empty(), "{}", written.notes);
    let found = exported.python("hf", &[]);
    let none = json!({ "bbox": [], "category": [] });
    assert_eq!(
        found["rows"]["train"],
        json!([
            {
                "image": [8, 8], "data_row_id": "a", "kind": null, "seen, too": null, "image (text)": null,
                "objects": none,
            },
            {
                "image": [8, 4], "data_row_id": "b", "kind": "dog", "seen, too": ["hat", "bell"],
                "image (text)": "blurred", "objects": { "bbox": [[1.0, 2.0, 3.0, 4.0]], "category": ["wheel"] },
            },
        ])
    );
    // Where a column has no value at all, readers cannot know its type: such a split stands apart.
    assert_eq!(found["rows"].as_object().expect("an object").len(), 1);
    let validation = &exported.python("hf", &["validation"])["rows"]["validation"][0];
    let kinds = (&validation["kind"], &validation["seen, too"]);
    assert_eq!(kinds, (&json!("cat"), &json!([])));
    let unassigned = &exported.python("hf", &["unassigned"])["rows"]["unassigned"][0];
    assert_eq!(
        (&unassigned["data_row_id"], &unassigned["kind"]),
        (&json!("d"), &Value::Null)
    );
}

#[test]
fn splits_whose_columns_have_values_come_together() {
    let mut ontology = images_of(&[]);
    ontology["classifications"] = json!([question("kind", "radio", &["cat", "dog"])]);
    let exported = Exported::of(ontology);
    exported.image(Split::Training, "a", (8, 8), Value::Null);
    exported.image(
        Split::Training,
        "b",
        (8, 8),
        answers(json!([radio("kind", "cat")])),
    );
    exported.image(
        Split::Test,
        "c",
        (8, 8),
        answers(json!([radio("kind", "dog")])),
    );
    exported.write(&[Format::Hf]);
    let found = exported.python("hf", &[]);
    assert_eq!(found["rows"]["train"][0]["label"], Value::Null);
    assert_eq!(found["rows"]["train"][1]["label"], "cat");
    assert_eq!(found["rows"]["test"][0]["label"], "dog");
}

#[test]
fn texts_come_with_the_only_answer_as_their_label() {
    let exported = texts_of(&[], &[question("mood", "radio", &["good", "bad"])]);
    text(&exported, Split::Training, "a", "so so", Value::Null);
    text(
        &exported,
        Split::Training,
        "b",
        "ü🚗 \"x\"\n",
        answers(json!([radio("mood", "bad")])),
    );
    let path = exported.file("c.txt", "from a file".as_bytes());
    let mut row = labelled("c", answers(json!([radio("mood", "good")])));
    row["data_row"]["row_data"] = "https://storage.example.com/c.txt".into();
    row["data_row"]["local_path"] = path.into();
    exported.row(Split::Test, &row);
    text(
        &exported,
        Split::Test,
        "d",
        "https://storage.example.com/d.txt",
        Value::Null,
    );
    let notes = exported.write(&[Format::Hf]).notes;
    assert_eq!(notes.of(Note::NoFile).expect("noted").first, "d");
    let found = exported.python("hf", &[]);
    assert_eq!(
        found["rows"],
        json!({
            "train": [
                { "data_row_id": "a", "text": "so so", "label": null },
                { "data_row_id": "b", "text": "ü🚗 \"x\"\n", "label": 1 },
            ],
            "test": [{ "data_row_id": "c", "text": "from a file", "label": 0 }],
        })
    );
}

#[test]
fn entities_are_tags_whose_ends_belong_to_them() {
    let exported = texts_of(
        &[
            tool("full name", "named-entity"),
            tool("place", "named-entity"),
        ],
        &[],
    );
    // The sign is one character, as Python counts: four bytes, and two units of UTF-16.
    let words = "🚗 Ann Lee-Ray went to Ulm.";
    let label = entities(json!([entity("full name", 2, 8), entity("place", 22, 24)]));
    text(&exported, Split::Training, "a", words, label);
    let written = exported.write(&[Format::Hf]);
    assert!(written.notes.is_empty(), "{}", written.notes);
    let found = exported.python("hf", &[]);
    let row = &found["rows"]["train"][0];
    assert_eq!(
        row["tokens"],
        json!(["🚗", "Ann", "Lee", "-", "Ray", "went", "to", "Ulm", "."])
    );
    // O, B- and I-full name, B- and I-place.
    assert_eq!(row["ner_tags"], json!([0, 1, 2, 0, 0, 0, 0, 3, 0]));
    assert_eq!(row["starts"], json!([0, 2, 6, 9, 10, 14, 19, 22, 25]));
    assert_eq!(row["ends"], json!([0, 4, 8, 9, 12, 17, 20, 24, 25]));
    let tags = found["features"]["ner_tags"].as_str().expect("a text");
    assert!(
        tags.contains("['O', 'B-full name', 'I-full name', 'B-place', 'I-place']"),
        "{tags}"
    );
}

#[test]
fn answers_are_called_as_the_ontology_calls_them_today() {
    let exported = texts_of(&[], &[question("mood", "radio", &["good", "bad", "good"])]);
    let said = |id: &str, name: &str| {
        let answer = json!({ "name": name, "feature_schema_id": id });
        answers(json!([{ "name": "mood", "radio_answer": answer }]))
    };
    // Renamed since; taken out of the ontology since; of an ontology that was copied.
    text(
        &exported,
        Split::Training,
        "a",
        "x",
        said("option bad", "terrible"),
    );
    text(
        &exported,
        Split::Training,
        "b",
        "y",
        said("option fair", "fair"),
    );
    text(
        &exported,
        Split::Training,
        "c",
        "z",
        said("of another", "good"),
    );
    let notes = exported.write(&[Format::Hf]).notes;
    let unknown = notes.of(Note::UnknownAnswer).expect("noted");
    assert_eq!((unknown.count, &*unknown.first), (1, "b"));
    let found = exported.python("hf", &[]);
    let labels: Vec<&Value> = (0..3)
        .map(|at| &found["rows"]["train"][at]["label"])
        .collect();
    assert_eq!(labels, [&json!(1), &Value::Null, &json!(0)]);
}

#[test]
fn questions_of_one_name_keep_their_own_answers() {
    let mut second = question("kind", "checklist", &["x"]);
    second["schema_id"] = "second".into();
    let exported = texts_of(&[], &[question("kind", "radio", &["cat"]), second]);
    let mut answered = checklist("kind", &["x"]);
    answered["feature_schema_id"] = "second".into();
    let both = json!([answered, radio("kind", "cat")]);
    text(&exported, Split::Training, "a", "x", answers(both));
    text(
        &exported,
        Split::Training,
        "b",
        "x",
        answers(json!([answered])),
    );
    let written = exported.write(&[Format::Hf]);
    assert!(written.notes.is_empty(), "{}", written.notes);
    let found = exported.python("hf", &[]);
    let row = |at: usize| &found["rows"]["train"][at];
    assert_eq!(
        (&row(0)["kind"], &row(0)["kind (checklist)"]),
        (&json!(0), &json!(["x"]))
    );
    assert_eq!(
        (&row(1)["kind"], &row(1)["kind (checklist)"]),
        (&Value::Null, &json!(["x"]))
    );
}

#[test]
fn a_question_called_like_a_file_is_not_looked_for_on_disk() {
    let mut ontology = images_of(&[]);
    ontology["classifications"] = json!([
        question("old_file_name", "text", &[]),
        question("file_names", "text", &[]),
    ]);
    let exported = Exported::of(ontology);
    let said = |name: &str| json!({ "name": name, "text_answer": { "content": "a.png" } });
    let label = answers(json!([said("old_file_name"), said("file_names")]));
    exported.image(Split::Training, "a", (8, 8), label);
    exported.write(&[Format::Hf]);
    let row = &exported.python("hf", &[])["rows"]["train"][0];
    assert_eq!(row["old_file_name (text)"], "a.png");
    assert_eq!(row["file_names (text)"], "a.png");
}

#[test]
fn what_is_marked_in_texts_without_tags_is_noted() {
    let exported = texts_of(&[], &[question("mood", "radio", &["good"])]);
    let marked = entities(json!([entity("place", 0, 1)]));
    text(&exported, Split::Training, "a", "so so", marked);
    let notes = exported.write(&[Format::Hf]).notes;
    assert_eq!(notes.of(Note::UnknownClass).expect("noted").count, 1);
}
