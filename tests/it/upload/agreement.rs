//! Whatever the checker lets pass, Labelbox takes: the two know nothing of each other here.

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use serde_json::{Value, json};
use trainhook::emulator::Dataset;

use super::start;
use crate::{properties::predictions::any_line, support::stack::job_id};

/// Lines that are tried.
const LINES: usize = 3000;

/// Three rows whose labels show the ontology that the lines speak of.
fn exported_rows() -> Vec<Value> {
    let named = |name: &str, more: Value| {
        let mut value = json!({
            "feature_schema_id": format!("id-{name}"), "name": name, "value": name.replace(' ', "_"),
        });
        for (key, more) in more.as_object().into_iter().flatten() {
            value[key] = more.clone();
        }
        value
    };
    let answer = |name: &str| named(name, json!({"classifications": []}));
    let colours =
        ["red", "light blue"].map(|name| named("colour", json!({"radio_answer": answer(name)})));
    let drawn = |name: &str, kind: &str, below: Value| {
        named(
            name,
            json!({"annotation_kind": kind, "classifications": below}),
        )
    };
    let objects = json!([
        drawn(
            "dog",
            "ImageBoundingBox",
            json!([
                colours[0],
                named("why", json!({"text_answer": {"content": "so"}}))
            ])
        ),
        drawn("dog", "ImageBoundingBox", json!([colours[1]])),
        drawn("road", "ImagePolygon", json!([])),
        drawn("lane", "ImagePolyline", json!([])),
        drawn("nose", "ImagePoint", json!([])),
        drawn("person", "TextEntity", json!([])),
        drawn("sky", "ImageSegmentationMask", json!([])),
    ]);
    let answers = json!([
        named("weather", json!({"radio_answer": answer("sunny")})),
        named("weather", json!({"radio_answer": answer("very wet")})),
        named(
            "things",
            json!({"checklist_answers": [answer("tree"), answer("house")]})
        ),
        named("remark", json!({"text_answer": {"content": "so"}})),
    ]);
    let row = |id: &str, key: Option<&str>, media: Value| {
        json!({
            "data_row": {"id": id, "global_key": key, "row_data": "https://example.com/x.png"},
            "media_attributes": media,
            "experiments": {"m": {"name": "m", "runs": {"r": {"name": "r", "labels": [
                {"label_kind": "Default", "annotations": {"objects": objects, "classifications": answers}},
            ]}}}},
        })
    };
    vec![
        row("dr1", Some("gk1"), json!({"width": 100, "height": 50})),
        row("dr2", Some("gk2"), json!({})),
        row("dr3", None, json!({})),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_is_taken() {
    let stack = start("max_row_errors = \"100%\"").await;
    let folder = stack.folder.path();
    let write = |name: &str, lines: Vec<Vec<u8>>| {
        std::fs::write(folder.join(name), lines.join(&b'\n')).expect("writable");
    };
    let rows = exported_rows()
        .into_iter()
        .map(|row| row.to_string().into_bytes());
    write("export.ndjson", rows.collect());
    let dataset = Dataset::read(&folder.join("export.ndjson")).expect("an export");
    let mut runner = TestRunner::deterministic();
    let mut any = || {
        let line = any_line().new_tree(&mut runner).expect("a line").current();
        // A line of its own, whatever it is.
        line.into_iter()
            .filter(|byte| *byte != b'\n')
            .collect::<Vec<u8>>()
    };
    write("predictions.ndjson", (0..LINES).map(|_| any()).collect());
    let text = std::fs::read_to_string(folder.join("models.toml")).expect("readable");
    let text = text.replace("import_lines = 2\n", "import_lines = 1000\n");
    std::fs::write(folder.join("models.toml"), text).expect("writable");
    let mut stack = stack;
    stack.restart_with(&[]).await;
    let run = stack.new_run();
    assert!(stack.emulator.set_dataset(&run, Some(dataset)));
    let id = job_id(&stack.click(&run, "m").await);
    stack.told(&run, "COMPLETE").await;
    let summary = stack.imported(&run);
    let refused: u64 = summary.imports.iter().map(|import| import.refused).sum();
    assert_eq!(refused, 0, "{:?}", stack.rejected(&id).last());
    let (taken, rejected) = (
        summary.predictions + summary.metrics,
        stack.rejected(&id).len() as u64,
    );
    println!("{taken} were taken, {rejected} rejected");
    assert!(taken > 200 && rejected > 200, "{taken} {rejected}");
}
