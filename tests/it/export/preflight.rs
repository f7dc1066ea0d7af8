//! Data that will not do is told in seconds, in words for whoever labels.

use serde_json::{Value, json};
use trainhook::emulator::{Dataset, Fault, FaultKind};

use super::{model, reason, start};
use crate::support::stack::Stack;

const RUNS: &str = "echo ran > ran";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_rows_trains_nothing() {
    let stack = start(&model("texts", RUNS, "")).await;
    let run = stack.new_run();
    stack.click(&run, "texts").await;
    let reason = reason(&stack, &run).await;
    assert!(
        reason.starts_with("the model run has no data rows: add some to it in Labelbox"),
        "{reason}"
    );
    assert!(stack.lines("ran").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_without_enough_rows_is_named() {
    let models = [
        model("tested", RUNS, "preflight = { training = 1, test = 1 }"),
        model("many", RUNS, "preflight = { training = 9 }"),
        model("fine", "true", "preflight = { training = 8 }"),
    ];
    let stack = start(&models.concat()).await;
    // The first eight rows are to learn from.
    let data = Dataset::generated(8, 300);
    let (run, id) = stack.click_with(&data, "tested").await;
    let none = reason(&stack, &run).await;
    assert!(
        none.starts_with("the run has no rows in split 'test': assign some to it in Labelbox"),
        "{none}"
    );
    assert_eq!(stack.job(&id)["job"]["cause"], "preflight");
    let (run, _) = stack.click_with(&data, "many").await;
    let few = reason(&stack, &run).await;
    assert!(
        few.starts_with("the run has only 8 rows in split 'training', but 9 are needed"),
        "{few}"
    );
    assert!(stack.lines("ran").is_empty());
    let (run, _) = stack.click_with(&data, "fine").await;
    stack.told(&run, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rows_are_told_while_labelbox_still_prepares_the_export() {
    let wanted = "preflight = { test = 1 }";
    let stack = start(&model("tested", RUNS, wanted)).await;
    for (data, words) in [
        (None, "the model run has no data rows"),
        (
            Some(Dataset::generated(8, 300)),
            "the run has no rows in split 'test'",
        ),
    ] {
        // Longer than any test waits.
        let takes = FaultKind::Takes {
            milliseconds: 3_600_000,
        };
        stack
            .emulator
            .add_fault(Fault::once("exportDataRowsInModelRun", takes));
        let run = data.map_or_else(|| stack.new_run(), |data| stack.run_with(&data));
        stack.click(&run, "tested").await;
        let reason = reason(&stack, &run).await;
        assert!(reason.starts_with(words), "{reason}");
    }
    assert!(stack.lines("ran").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn classes_without_a_label_are_named() {
    let wanted = "preflight = { every_class_labelled = true }";
    let stack = start(&model("texts", "true", wanted)).await;
    for (rows, words) in [
        (
            3,
            "the class 'kind: kind-d' has no label in the training split: label some rows there",
        ),
        (
            1,
            "the classes 'kind: kind-b', 'kind: kind-c', 'kind: kind-d' have no label in the training split",
        ),
    ] {
        let (run, _) = stack
            .click_with(&Dataset::generated(rows, 300), "texts")
            .await;
        let reason = reason(&stack, &run).await;
        assert!(reason.starts_with(words), "{reason}");
    }
    for data in [Dataset::generated(4, 300), Dataset::digits()] {
        let (run, _) = stack.click_with(&data, "texts").await;
        stack.told(&run, "COMPLETE").await;
    }
}

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

/// An answer after which another question is asked, whose answer stands in a second question as well.
fn nested_ontology() -> Value {
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
    json!({ "data": { "ontology": { "id": "o", "name": "animals", "normalized": {
        "tools": [], "classifications": [animal, sharp] } } } })
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_after_answers_are_classes_each_at_its_place() {
    let stack = start(&model("boxes", "true", EVERY_CLASS)).await;
    let answer = FaultKind::Status {
        status: 200,
        body: Some(nested_ontology()),
        headers: Vec::new(),
    };
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
