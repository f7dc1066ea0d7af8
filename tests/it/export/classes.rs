//! Which classes count as labelled, wherever they stand.

use serde_json::{Value, json};
use trainhook::emulator::{Dataset, Fault, FaultKind};

use super::{model, reason, start};
use crate::support::stack::Stack;

const EVERY_CLASS: &str = "preflight = { every_class_labelled = true }";

fn boxed(id: &str, split: &str, tool: &str, classifications: Value) -> Value {
    let object = json!({
        "name": tool, "annotation_kind": "ImageBoundingBox", "classifications": classifications,
        "bounding_box": { "top": 1.0, "left": 1.0, "height": 2.0, "width": 2.0 },
    });
    labelled(
        id,
        split,
        json!({ "objects": [object], "classifications": null }),
    )
}

fn labelled(id: &str, split: &str, annotations: Value) -> Value {
    json!({
        "data_row": { "id": id, "row_data": "https://example.invalid/x.png" },
        "media_attributes": null, "data_split": split,
        "experiments": { "m": { "runs": { "r": { "labels": [{ "annotations": annotations }] } } } },
    })
}

fn answered(question: &str, answer: &str, classifications: Value) -> Value {
    let answer = json!({ "name": answer, "value": answer, "classifications": classifications });
    json!({ "name": question, "radio_answer": answer })
}

impl Stack {
    async fn click_with_rows(&self, model_type: &str, rows: &[Value]) -> String {
        let file = self.folder.path().join("rows.ndjson");
        let text: Vec<String> = rows.iter().map(Value::to_string).collect();
        std::fs::write(&file, text.join("\n")).expect("the folder is writable");
        let data = Dataset::read(&file).expect("an export");
        self.click_with(&data, model_type).await.0
    }

    async fn fails_for(&self, run: &str, words: &str) {
        let reason = reason(self, run).await;
        assert!(reason.starts_with(words), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drawn_classes_count_by_their_tools() {
    let stack = start(&model("boxes", "true", EVERY_CLASS)).await;
    let row = |id: &str, tool: &str| boxed(id, "training", tool, json!([]));
    let rows = [row("a", "dog"), row("b", "cat")];
    let run = stack.click_with_rows("boxes", &rows).await;
    stack.told(&run, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_that_only_other_splits_show_cannot_be_learnt() {
    let stack = start(&model("boxes", "true", EVERY_CLASS)).await;
    let row = |id: &str, split: &str, tool: &str| boxed(id, split, tool, json!([]));
    for other in ["test", "validation", "unassigned"] {
        let rows = [row("a", "training", "dog"), row("b", other, "cat")];
        let run = stack.click_with_rows("boxes", &rows).await;
        let words = "the class 'cat' has no label in the training split: label some rows there";
        stack.fails_for(&run, words).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_a_split_count_where_none_is_for_training() {
    let stack = start(&model("boxes", "true", EVERY_CLASS)).await;
    let row = |id: &str, split: &str, tool: &str| boxed(id, split, tool, json!([]));
    let both = [row("a", "unassigned", "dog"), row("b", "unassigned", "cat")];
    let run = stack.click_with_rows("boxes", &both).await;
    stack.told(&run, "COMPLETE").await;
    let tested = [row("a", "unassigned", "dog"), row("b", "test", "cat")];
    let run = stack.click_with_rows("boxes", &tested).await;
    let words = "the class 'cat' has no label in the rows without a split: label some rows there";
    stack.fails_for(&run, words).await;
    let nothing = [row("a", "validation", "dog"), row("b", "test", "cat")];
    let run = stack.click_with_rows("boxes", &nothing).await;
    let words = "the classes 'dog', 'cat' have no label in the training split";
    stack.fails_for(&run, words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_about_objects_are_classes() {
    let stack = start(&model("boxes", "true", EVERY_CLASS)).await;
    let row = |id: &str, split: &str, colour: &str| {
        boxed(
            id,
            split,
            "car",
            json!([answered("colour", colour, json!([]))]),
        )
    };
    let rows = [row("a", "training", "red"), row("b", "test", "blue")];
    let run = stack.click_with_rows("boxes", &rows).await;
    let words = "the class 'car: colour: blue' has no label in the training split";
    stack.fails_for(&run, words).await;
    let rows = [row("a", "training", "red"), row("b", "training", "blue")];
    let run = stack.click_with_rows("boxes", &rows).await;
    stack.told(&run, "COMPLETE").await;
}

fn ontology_of(tools: &Value, classifications: &Value) -> FaultKind {
    let normalized = json!({ "tools": tools, "classifications": classifications });
    FaultKind::Status {
        status: 200,
        body: Some(json!({ "data": { "ontology": {
            "id": "o", "name": "things", "normalized": normalized } } })),
        headers: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn relationships_and_the_frames_of_videos_are_labels_too() {
    let stack = start(&model("boxes", "true", EVERY_CLASS)).await;
    let tool = |name: &str, kind: &str| json!({ "featureSchemaId": name, "name": name, "tool": kind, "classifications": [] });
    let option = json!({ "featureSchemaId": "day", "label": "day", "options": [] });
    let light = json!({ "featureSchemaId": "light", "name": "light", "type": "radio", "options": [option] });
    let tools = json!([tool("dog", "rectangle"), tool("owns", "edge")]);
    let answer = ontology_of(&tools, &json!([light]));
    stack
        .emulator
        .add_fault(Fault::times("ontology", 2, answer));
    let related = json!({ "relationships": [
        { "name": "owns", "annotation_kind": "UnidirectionalRelationship", "classifications": [] },
    ] });
    let seen = json!({ "frames": {
        "1": { "objects": { "f": { "name": "dog", "annotation_kind": "VideoBoundingBox" } } },
        "2": { "classifications": [answered("light", "day", json!([]))] },
        "3": null, "4": [], "5": { "objects": [] },
    } });
    let row = |id: &str, annotations: &Value| labelled(id, "training", annotations.clone());
    let run = stack.click_with_rows("boxes", &[row("a", &seen)]).await;
    let words = "the class 'owns' has no label in the training split";
    stack.fails_for(&run, words).await;
    let rows = [row("a", &seen), row("b", &related)];
    let run = stack.click_with_rows("boxes", &rows).await;
    stack.told(&run, "COMPLETE").await;
}

/// An answer after which another question is asked, whose answer stands in a second question as well.
fn nested_questions() -> Value {
    let option = |id: &str, label: &str, options: Value| json!({ "featureSchemaId": id, "label": label, "options": options });
    let question = |id: &str, options: Value| json!({ "featureSchemaId": id, "name": id, "type": "radio", "options": options });
    let breed = question(
        "breed",
        json!([
            option("poodle", "poodle", json!([])),
            option("yes", "other", json!([]))
        ]),
    );
    let animal = question("animal", json!([option("dog", "dog", json!([breed]))]));
    let sharp = question("sharp", json!([option("yes", "yes", json!([]))]));
    json!([animal, sharp])
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_after_answers_are_classes_each_at_its_place() {
    let stack = start(&model("boxes", "true", EVERY_CLASS)).await;
    let answer = ontology_of(&json!([]), &nested_questions());
    stack
        .emulator
        .add_fault(Fault::times("ontology", 9, answer));
    let row = |id: &str, breeds: &[&str]| {
        let breeds: Vec<Value> = breeds
            .iter()
            .map(|breed| answered("breed", breed, json!([])))
            .collect();
        let answers = [
            answered("animal", "dog", json!(breeds)),
            answered("sharp", "yes", json!([])),
        ];
        labelled(
            id,
            "training",
            json!({ "objects": [], "classifications": answers }),
        )
    };
    let run = stack
        .click_with_rows("boxes", &[row("a", &["poodle"])])
        .await;
    let words = "the class 'animal: dog: breed: other' has no label in the training split";
    stack.fails_for(&run, words).await;
    let run = stack
        .click_with_rows("boxes", &[row("a", &["poodle"]), row("b", &["other"])])
        .await;
    stack.told(&run, "COMPLETE").await;
}
