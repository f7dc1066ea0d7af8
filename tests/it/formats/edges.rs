//! Entities at the edges of texts, tokens and each other; shapes at those of images; numbers and labels.

use std::fs;

use serde_json::{Value, json};
use trainhook::{
    config::Format,
    dataset::Split,
    formats::{Note, Written},
};

use super::{Exported, boxed, grey_png, images_of, labelled, masked, objects, polygon, tool};

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
    tags("हिन्दी भाषा", &[(0, 5)], "हिन्दी/B-x भाषा/O");
    tags("ไม่ใช่", &[], "ไม่ใช่/O");
    tags("می\u{200c}خواهم", &[], "می\u{200c}خواهم/O");
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

#[test]
fn what_fills_its_image_is_kept_whole_and_an_empty_mask_is_no_object() {
    let exported = Exported::of(images_of(&[
        tool("road", "polygon"),
        tool("tree", "raster-segmentation"),
    ]));
    let full = exported.file("full.png", &grey_png(3, 2, &[255; 6]));
    let empty = exported.file("empty.png", &grey_png(3, 2, &[0; 6]));
    let around = [(0.0, 0.0), (3.0, 0.0), (3.0, 2.0), (0.0, 2.0)];
    let all = objects(json!([
        masked("tree", &full),
        masked("tree", &empty),
        polygon("road", &around)
    ]));
    exported.image(Split::Training, "a", (3, 2), all);
    let notes = exported.write(&[Format::Coco, Format::Yolo]).notes;
    assert_eq!(notes.of(Note::NoExtent).expect("noted").count, 1);
    assert!(notes.of(Note::Outside).is_none(), "{notes}");
    let found = exported.python("coco", &["training"]);
    let whole = json!([[1, 1, 1], [1, 1, 1]]);
    for at in [0, 1] {
        let annotation = &found["annotations"][at];
        assert_eq!(annotation["mask"], whole);
        assert_eq!(annotation["bbox"], json!([0.0, 0.0, 3.0, 2.0]));
        assert_eq!(annotation["area"], json!(6.0));
    }
    let labels = exported.python("yolo", &["training"]);
    let filled = &labels["images"]["000000000001.png"]["filled"];
    assert_eq!((&filled[0], &filled[1]), (&whole, &whole));
}

#[test]
fn of_several_labels_of_a_row_the_first_one_counts() {
    let exported = Exported::of(images_of(&[tool("car", "rectangle")]));
    let said =
        |left: f64| json!({ "annotations": objects(json!([boxed("car", [left, 0.0, 2.0, 2.0])])) });
    exported.image(Split::Training, "a", (8, 4), Value::Null);
    let mut row = labelled("b", Value::Null);
    row["data_row"]["local_path"] = "files/a.png".into();
    row["media_attributes"] = json!({ "width": 8, "height": 4, "mime_type": "image/png" });
    row["experiments"]["model"]["runs"]["run"]["labels"] = json!([said(1.0), said(2.0), said(3.0)]);
    exported.row(Split::Training, &row);
    let notes = exported.write(&[Format::Coco, Format::Hf]).notes;
    let further = notes.of(Note::FurtherLabels).expect("noted");
    assert_eq!((further.count, &*further.first), (1, "b"));
    let found = exported.python("coco", &["training"]);
    assert_eq!(found["images"].as_array().expect("a list").len(), 2);
    assert_eq!(found["annotations"].as_array().expect("a list").len(), 1);
    assert_eq!(found["annotations"][0]["bbox"], json!([1.0, 0.0, 2.0, 2.0]));
}

#[test]
fn numbers_are_given_once_and_are_the_same_every_time() {
    let exported = Exported::of(images_of(&[tool("car", "rectangle")]));
    let two = objects(json!([
        boxed("car", [0.0, 0.0, 2.0, 2.0]),
        boxed("car", [1.0, 0.0, 2.0, 2.0])
    ]));
    for (split, id) in [
        (Split::Test, "c"),
        (Split::Training, "a"),
        (Split::Training, "b"),
    ] {
        exported.image(split, id, (8, 4), two.clone());
    }
    let files = || {
        exported.write(&[Format::Coco]);
        ["training", "test"].map(|split| {
            let path = exported.path(&format!("data/coco/{split}.json"));
            fs::read_to_string(path).expect("a file")
        })
    };
    let first = files();
    assert_eq!(first, files());
    let mut ids = Vec::new();
    for file in &first {
        let file: Value = serde_json::from_str(file).expect("JSON");
        let annotations = file["annotations"].as_array().expect("a list");
        ids.extend(
            annotations
                .iter()
                .map(|one| one["id"].as_u64().expect("a number")),
        );
    }
    assert_eq!(ids, [1, 2, 3, 4, 5, 6]);
}
