//! "What a training script reads and writes": what is shown is read, and taken.

use std::io::Cursor;

use serde_json::{Value, json};
use trainhook::{
    dataset::{
        Answered, Object, Ontology, Row, RowHead, RowIndex, RowIndexWriter, Split, name_hash,
    },
    predictions::{Checker, LINE_LIMIT, MOST_LINES, MOST_METRICS, MOST_PER_FEATURE},
};

use super::{blocks_of, section};

const HEADING: &str = "## What a training script reads and writes";

fn shown_row() -> Row {
    Row::read(blocks_of(HEADING, "json")[0].as_bytes()).expect("a row")
}

fn index() -> RowIndex {
    let mut file = Cursor::new(Vec::new());
    let mut rows = RowIndexWriter::begin(&mut file).expect("writable");
    let row = RowHead::read(blocks_of(HEADING, "json")[0].as_bytes()).expect("a row");
    let added = rows.add(&row, name_hash(row.id()), Split::Test);
    added.expect("writable");
    RowIndex::read(file).expect("an index")
}

/// What becomes of a line.
fn check(line: &str, ontology: &Ontology) -> Result<(), String> {
    let rows = index();
    let checked = Checker::new(ontology, &rows).check(line.as_bytes(), &mut Vec::new());
    checked.map(drop).map_err(|rejection| rejection.to_string())
}

#[test]
fn the_predictions_that_are_shown_are_taken_for_the_row_and_the_ontology_that_are_shown() {
    let ontology = blocks_of(HEADING, "json")[1];
    let ontology: Ontology = serde_json::from_str(ontology).expect("an ontology");
    let written = serde_json::to_value(&ontology).expect("JSON");
    let shown: Value = serde_json::from_str(blocks_of(HEADING, "json")[1]).expect("JSON");
    assert_eq!(shown["tools"][0]["kind"], written["tools"][0]["kind"]);
    let lines: Vec<&str> = blocks_of(HEADING, "")[0].lines().collect();
    assert!(lines.len() > 5, "{lines:?}");
    for line in lines {
        assert_eq!(check(line, &ontology), Ok(()), "{line}");
    }
    let label = shown_row();
    let label = label.labels().next().expect("a label");
    let (object, answered) = (
        &label.annotations.objects[0],
        &label.annotations.classifications[0],
    );
    let tool = ontology.tool(&object.name).expect("its tool");
    assert!(
        tool.classification(&object.classifications[0].name)
            .is_some()
    );
    assert!(ontology.classification(&answered.name).is_some());
}

/// The rows of the table of kinds: kind, label, and every form of a prediction.
fn kinds() -> Vec<(&'static str, Value, Vec<String>)> {
    let rows = section(HEADING)
        .lines()
        .skip_while(|line| !line.contains("in a prediction"));
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    let code =
        |cell: &'static str| -> Vec<&'static str> { cell.split('`').skip(1).step_by(2).collect() };
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.split('|').collect();
        let label = format!("{{{}}}", code(cells[2])[0]);
        let label = serde_json::from_str(&label).expect("JSON");
        let forms = code(cells[3]).into_iter().map(str::to_owned);
        (code(cells[1])[0], label, forms.collect())
    };
    rows.map(row).collect()
}

/// A tool or question of that kind, called `it`.
fn ontology_of(kind: &str) -> Ontology {
    let options = ["red", "rain", "fog"].map(
        |name| json!({ "name": name, "schema_id": name, "value": name, "classifications": [] }),
    );
    let it = json!({ "name": "it", "schema_id": "it", "kind": kind, "options": options });
    let list = match kind {
        "radio" | "checklist" | "text" => "classifications",
        _ => "tools",
    };
    let ontology = json!({ "id": "o", "name": "o", list: [it] });
    serde_json::from_value(ontology).expect("an ontology")
}

#[test]
fn a_prediction_of_every_kind_is_taken_as_it_is_shown() {
    let kinds = kinds();
    assert_eq!(kinds.len(), 9);
    for (kind, _, forms) in kinds {
        assert!(!forms.is_empty(), "{kind}");
        for form in forms {
            let line = format!("{{\"data_row\": \"cl0…\", \"name\": \"it\", {form}}}");
            assert_eq!(check(&line, &ontology_of(kind)), Ok(()), "{line}");
        }
    }
}

#[test]
fn a_label_of_every_kind_is_read_as_it_is_shown() {
    for (kind, label, _) in kinds() {
        let known = match kind {
            "radio" | "checklist" | "text" => {
                let read: Answered = serde_json::from_str(&label.to_string()).expect(kind);
                read != Answered::default()
            }
            _ => {
                let read: Object = serde_json::from_str(&label.to_string()).expect(kind);
                read != Object::default()
            }
        };
        assert!(known, "{kind}: no key of it is known");
    }
}

/// `5000000` → `5,000,000`
fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let pieces: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|piece| std::str::from_utf8(piece).expect("digits"))
        .collect();
    pieces.join(",")
}

#[test]
fn the_limits_of_predictions_are_those_of_the_program() {
    let megabytes = LINE_LIMIT / 1_000_000;
    let lines = with_commas(u64::from(MOST_LINES));
    let per_feature = with_commas(u64::from(MOST_PER_FEATURE));
    let shown = format!(
        "{lines} lines of {megabytes} MB each; {per_feature} predictions of one feature and {MOST_METRICS} metrics in one row"
    );
    assert!(section(HEADING).contains(&shown), "{shown}");
}
