//! What a command predicted: which lines are sent, which are not, and why.

mod accepted;
mod frozen;
mod rejected;

use std::io::Cursor;

use serde_json::{Value, json};
use trainhook::{
    dataset::{Ontology, RowHead, RowIndex, RowIndexWriter, Split, name_hash},
    predictions::{Checked, Checker},
};

/// Tools and questions of every kind that is known.
pub(crate) fn ontology() -> Ontology {
    let option = |name: &str, below: Value| {
        json!({
            "name": name, "schema_id": format!("id-{name}"), "value": name.replace(' ', "_"),
            "classifications": below,
        })
    };
    let question = |name: &str, kind: &str, options: Value| json!({ "name": name, "schema_id": format!("id-{name}"), "kind": kind, "options": options });
    let colour = question(
        "colour",
        "radio",
        json!([option("red", json!([])), option("light blue", json!([]))]),
    );
    let why = question("why", "text", json!([]));
    let tool = |name: &str, kind: &str, below: Value| json!({ "name": name, "schema_id": format!("id-{name}"), "kind": kind, "classifications": below });
    let ontology = json!({
        "id": "o", "name": "everything",
        "tools": [
            tool("dog", "rectangle", json!([colour, why])),
            tool("road", "polygon", json!([])),
            tool("lane", "line", json!([])),
            tool("nose", "point", json!([])),
            tool("person", "named-entity", json!([])),
            tool("sky", "raster-segmentation", json!([])),
            tool("new", "hologram", json!([])),
            tool("both", "rectangle", json!([])),
        ],
        "classifications": [
            question("weather", "radio", json!([option("sunny", json!([why])), option("very wet", json!([]))])),
            question("things", "checklist", json!([option("tree", json!([])), option("house", json!([]))])),
            question("remark", "text", json!([])),
            question("mood", "slider", json!([])),
            question("both", "text", json!([])),
        ],
    });
    serde_json::from_value(ontology).expect("an ontology")
}

/// Three rows: `dr1` of 100 × 50 pixels with the global key `gk1`, `dr2` (`gk2`) of unknown size, `dr3` without a key.
pub(crate) fn rows() -> RowIndex {
    let mut file = Cursor::new(Vec::new());
    let mut rows = RowIndexWriter::begin(&mut file).expect("writable");
    for line in [
        json!({ "data_row": { "id": "dr1", "global_key": "gk1" }, "media_attributes": { "width": 100, "height": 50 } }),
        json!({ "data_row": { "id": "dr2", "global_key": "gk2" } }),
        json!({ "data_row": { "id": "dr3" } }),
    ] {
        let line = line.to_string();
        let row = RowHead::read(line.as_bytes()).expect("a row");
        rows.add(&row, name_hash(row.id()), Split::Test)
            .expect("writable");
    }
    RowIndex::read(file).expect("an index")
}

/// Checks one line; answers what is known of it, and how it is sent.
fn check(line: &str) -> Result<(Checked, Value), String> {
    let rows = rows();
    let mut out = Vec::new();
    let checked = Checker::new(&ontology(), &rows).check(line.as_bytes(), &mut out);
    let checked = checked.map_err(|rejection| rejection.to_string())?;
    Ok((checked, serde_json::from_slice(&out).expect("JSON")))
}
