//! What is read of each exported line without copying it, and the index that is made of that.

use proptest::prelude::*;
use serde_json::{Value, json};
use trainhook::dataset::{
    Row, RowHead, RowIndexBuilder, RowIndexWriter, Split, index_length, name_hash,
};

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

proptest! {
    #[test]
    fn an_index_written_row_by_row_is_the_one_that_was_collected(
        rows in prop::collection::vec((any::<String>(), any::<Option<String>>(), any::<Option<(u16, u16)>>(), 0..4_usize), 0..20)
    ) {
        let mut collected = RowIndexBuilder::default();
        let mut written = RowIndexWriter::begin(Vec::new()).expect("memory");
        for (id, key, size, split) in &rows {
            let media = size.map(|(width, height)| json!({ "width": width, "height": height }));
            let line = json!({ "data_row": { "id": id, "global_key": key }, "media_attributes": media.unwrap_or(json!({})) });
            let line = line.to_string();
            let split = Split::ALL[*split];
            collected.add(&Row::read(line.as_bytes()).expect("a row"), split);
            let head = RowHead::read(line.as_bytes()).expect("a row");
            written.add(&head, name_hash(head.id()), split).expect("memory");
        }
        let mut wanted = Vec::new();
        collected.finish().write(&mut wanted).expect("memory");
        prop_assert_eq!(written.file() as &Vec<u8>, &wanted);
        prop_assert_eq!(index_length(rows.len() as u64), wanted.len() as u64);
    }
}
