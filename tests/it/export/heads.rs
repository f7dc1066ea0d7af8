//! What is read of each exported line without copying it, and the index that is made of that.

use std::{collections::BTreeSet, io::Cursor};

use proptest::prelude::*;
use serde_json::{Value, json};
use trainhook::dataset::{Row, RowHead, RowIndex, RowIndexWriter, Split, index_length, name_hash};

fn head(line: &Value) -> (String, Option<String>, Option<(f64, f64)>) {
    let line = line.to_string();
    let head = RowHead::read(line.as_bytes()).expect("a row");
    (
        head.id().to_owned(),
        head.global_key().map(str::to_owned),
        head.size(),
    )
}

#[test]
fn names_are_read_whatever_stands_beside_them() {
    let row = |data_row: Value, media: Value| json!({ "x": [1, { "data_row": 2 }], "data_row": data_row, "media_attributes": media, "experiments": {} });
    let plain = row(
        json!({ "id": "a", "global_key": "k" }),
        json!({ "width": 8, "height": 9.0 }),
    );
    assert_eq!(
        head(&plain),
        ("a".to_owned(), Some("k".to_owned()), Some((8.0, 9.0)))
    );
    let escaped = row(
        json!({ "id": "a\"\u{e4}", "global_key": null }),
        Value::Null,
    );
    assert_eq!(head(&escaped), ("a\"\u{e4}".to_owned(), None, None));
    for odd in [
        json!({ "width": "8", "height": 8 }),
        json!({ "width": null, "height": [] }),
        json!({}),
    ] {
        assert_eq!(head(&row(json!({ "id": "a" }), odd)).2, None);
    }
}

#[test]
fn what_is_no_row_is_refused() {
    for line in [
        "",
        "{}",
        "[]",
        "{\"data_row\":{}}",
        "{\"data_row\":{\"id\":7}}",
        "{\"data_row\":{\"id\":\"a\"}} x",
    ] {
        assert!(RowHead::read(line.as_bytes()).is_err(), "{line}");
    }
}

#[test]
fn a_null_in_a_row_is_as_good_as_nothing() {
    let in_run = |run: Value| json!({ "m": { "runs": { "r": run } } });
    let annotations = |value: Value| in_run(json!({ "labels": [{ "annotations": value }] }));
    let nothing = Value::Null;
    for experiments in [
        nothing.clone(),
        json!({ "m": { "runs": nothing } }),
        in_run(json!({ "labels": nothing })),
        annotations(nothing.clone()),
        annotations(json!({ "objects": nothing, "classifications": nothing })),
        annotations(json!({ "objects": [{ "name": "car", "classifications": nothing }] })),
    ] {
        let line = json!({
            "data_row": { "id": "a" }, "media_attributes": nothing, "experiments": experiments,
        });
        let row = Row::read(line.to_string().as_bytes());
        let row = row.unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(row.size(), None);
        let answers = row
            .labels()
            .map(|label| label.annotations.classifications.len());
        assert_eq!(answers.sum::<usize>(), 0, "{line}");
    }
}

proptest! {
    #[test]
    fn each_row_is_found_by_both_of_its_names(
        rows in prop::collection::btree_map(any::<String>(), (any::<bool>(), any::<Option<(u16, u16)>>(), 0..4_usize), 0..20)
    ) {
        let mut file = Cursor::new(Vec::new());
        let mut written = RowIndexWriter::begin(&mut file).expect("memory");
        for (id, (has_key, size, split)) in &rows {
            let key = has_key.then(|| format!("the key of {id}"));
            let media = size.map(|(width, height)| json!({ "width": width, "height": height }));
            let line = json!({ "data_row": { "id": id, "global_key": key }, "media_attributes": media.unwrap_or(json!({})) });
            let line = line.to_string();
            let head = RowHead::read(line.as_bytes()).expect("a row");
            written.add(&head, name_hash(head.id()), Split::ALL[*split]).expect("memory");
        }
        prop_assert_eq!(index_length(rows.len() as u64), file.get_ref().len() as u64);
        let index = RowIndex::read(file).expect("an index");
        prop_assert_eq!(index.len(), rows.len());
        let mut numbers = BTreeSet::new();
        for (id, (has_key, size, split)) in &rows {
            let row = index.by_id(id).expect("it is there");
            prop_assert!(numbers.insert(row.number));
            prop_assert_eq!(row.split, Split::ALL[*split]);
            let known = size.filter(|(width, height)| *width > 0 && *height > 0);
            prop_assert_eq!(row.size, known.map(|(width, height)| (u32::from(width), u32::from(height))));
            let by_key = index.by_global_key(&format!("the key of {id}"));
            prop_assert_eq!(by_key, has_key.then_some(row));
        }
        prop_assert_eq!(index.by_id("somebody else's"), None);
    }
}
