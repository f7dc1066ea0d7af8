//! Entities at the edges of texts, tokens and each other.

use std::fs;

use serde_json::{Value, json};
use trainhook::{
    config::Format,
    dataset::Split,
    formats::{Note, Written},
};

use super::{Exported, labelled, tool};

/// The tokens with their tags, such as `Ann/B-x`.
fn tagged(text: &str, entities: &[(u64, u64)]) -> (Vec<String>, Written) {
    let exported = Exported::of(json!({
        "id": "o", "name": "things", "media_type": "TEXT", "tools": [tool("x", "named-entity")],
    }));
    let entity = |(start, end): &(u64, u64)| json!({ "name": "x", "location": { "start": start, "end": end } });
    let entities: Vec<Value> = entities.iter().map(entity).collect();
    let mut row = labelled("a", json!({ "objects": entities, "classifications": [] }));
    row["data_row"]["row_data"] = text.into();
    exported.row(Split::Test, &row);
    let written = exported.write(&[Format::Hf]);
    let line = fs::read(exported.path("data/hf/test.jsonl")).expect("a file");
    let line: Value = serde_json::from_slice(&line).expect("a line");
    let list = |key: &str| line[key].as_array().expect("a list").clone();
    let characters: Vec<char> = text.chars().collect();
    for ((token, start), end) in list("tokens").iter().zip(list("starts")).zip(list("ends")) {
        let place = |at: Value| usize::try_from(at.as_u64().expect("a place")).expect("small");
        let part: String = characters[place(start)..=place(end)].iter().collect();
        assert_eq!(token, &json!(part), "places do not lead to the token");
    }
    let tokens = list("tokens");
    let tags = list("ner_tags");
    let both = tokens.iter().zip(&tags).map(|(token, tag)| {
        format!(
            "{}/{}",
            token.as_str().expect("a text"),
            tag.as_str().expect("a text")
        )
    });
    (both.collect(), written)
}

#[track_caller]
fn tags(text: &str, entities: &[(u64, u64)], wanted: &str) -> Written {
    let (found, written) = tagged(text, entities);
    assert_eq!(found.join(" "), wanted);
    written
}

#[test]
fn an_entity_may_be_the_whole_text_or_one_character() {
    tags("Ann", &[(0, 2)], "Ann/B-x");
    tags("a", &[(0, 0)], "a/B-x");
    tags("🚗🚗 b", &[(3, 3)], "🚗/O 🚗/O b/B-x");
    tags("", &[], "");
}

#[test]
fn a_token_is_cut_where_an_entity_begins_or_ends() {
    tags("unlocked", &[(2, 5)], "un/O lock/B-x ed/O");
    tags("ab", &[(0, 0), (1, 1)], "a/B-x b/B-x");
    tags("New York", &[(0, 7)], "New/B-x York/I-x");
}

#[test]
fn accents_and_signs_stay_with_what_they_belong_to() {
    tags(
        "cafe\u{301} 東京!",
        &[(6, 7)],
        "cafe\u{301}/O 東/B-x 京/I-x !/O",
    );
    tags("a_b 3.5", &[], "a_b/O 3/O ./O 5/O");
}

#[test]
fn entities_beyond_the_text_or_across_others_are_noted() {
    let outside = tags("Ann", &[(1, 99), (3, 4)], "A/O nn/B-x").notes;
    assert_eq!(outside.of(Note::Outside).expect("noted").count, 1);
    assert_eq!(outside.of(Note::NoExtent).expect("noted").count, 1);
    let overlap = tags("Ann Lee Ray", &[(4, 10), (0, 6)], "Ann/B-x Lee/I-x Ray/O").notes;
    assert_eq!(overlap.of(Note::Overlap).expect("noted").count, 1);
    let empty = tags("a  b", &[(1, 2), (3, 2)], "a/O b/O").notes;
    assert_eq!(empty.of(Note::NoExtent).expect("noted").count, 2);
    let far = tags("Ann", &[(u64::MAX, u64::MAX), (0, u64::MAX)], "Ann/B-x").notes;
    assert_eq!(far.of(Note::Outside).expect("noted").count, 1);
}
