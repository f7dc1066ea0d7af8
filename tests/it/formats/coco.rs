//! COCO's files, read by pycocotools.

use serde_json::{Value, json};
use trainhook::{
    config::Format,
    dataset::Split,
    formats::{FormatError, Note},
};

use super::{
    Exported, as_rows, boxed, drawn, grey_png, images_of, masked, objects, png_of, polygon, tool,
};

const RING: [&str; 6] = [
    "........", ".#####..", ".#...#..", ".#.#.#..", ".#####..", "......##",
];

fn things() -> Exported {
    let tools = [
        tool("car", "rectangle"),
        tool("line", "line"),
        tool("wide road", "polygon"),
        tool("tree", "raster-segmentation"),
        tool("car", "polygon"),
    ];
    Exported::of(images_of(&tools))
}

#[test]
fn pycocotools_finds_boxes_polygons_and_masks_where_they_were_drawn() {
    let exported = things();
    let (width, height, pixels) = drawn(&RING, 255);
    let mask = exported.file("mask.png", &grey_png(width, height, &pixels));
    let square = [(1.0, 1.0), (4.0, 1.0), (4.0, 3.0), (1.0, 3.0), (1.0, 1.0)];
    exported.image(
        Split::Test,
        "row",
        (width, height),
        objects(json!([
            boxed("car", [0.0, 0.0, 8.0, 6.0]),
            polygon("wide road", &square),
            masked("tree", &mask),
        ])),
    );
    let written = exported.write(&[Format::Coco]);
    assert!(written.notes.is_empty(), "{}", written.notes);
    let found = exported.python("coco", &["test"]);
    let annotation = |at: usize, keys: &[&str]| -> Value {
        keys.iter()
            .map(|key| found["annotations"][at][key].clone())
            .collect()
    };
    let keys = ["category", "bbox", "area", "iscrowd", "image"];
    assert_eq!(
        annotation(0, &keys),
        json!(["car", [0.0, 0.0, 8.0, 6.0], 48.0, 0, "row"])
    );
    assert_eq!(
        annotation(1, &keys),
        json!(["wide road", [1.0, 1.0, 3.0, 2.0], 6.0, 0, "row"])
    );
    let polygon = as_rows(&[
        "........", ".###....", ".###....", "........", "........", "........",
    ]);
    assert_eq!(found["annotations"][1]["mask"], polygon);
    assert_eq!(
        annotation(2, &keys),
        json!(["tree", [1.0, 1.0, 7.0, 5.0], 17.0, 0, "row"])
    );
    assert_eq!(found["annotations"][2]["mask"], as_rows(&RING));
    assert_eq!(found["images"][0]["pixels"], json!([8, 6]));
    assert_eq!(found["images"][0]["file_name"], "files/row.png");
}

#[test]
fn categories_are_numbered_in_the_ontologys_order_and_have_names_of_their_own() {
    let exported = things();
    let mut second = polygon("car", &[(0.0, 0.0), (2.0, 0.0), (2.0, 2.0)]);
    second["feature_schema_id"] = "polygon car".into();
    exported.image(Split::Training, "row", (4, 4), objects(json!([second])));
    exported.write(&[Format::Coco]);
    let found = exported.python("coco", &["training"]);
    let names: Vec<Value> = found["categories"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|category| json!([category["id"], category["name"], category["schema_id"]]))
        .collect();
    assert_eq!(
        names,
        [
            json!([1, "car", "rectangle car"]),
            json!([2, "wide road", "polygon wide road"]),
            json!([3, "tree", "raster-segmentation tree"]),
            json!([4, "car (polygon)", "polygon car"]),
        ]
    );
    assert_eq!(found["annotations"][0]["category"], "car (polygon)");
}

#[test]
fn images_have_one_number_across_all_splits() {
    let exported = things();
    for (split, id) in [
        (Split::Test, "c"),
        (Split::Training, "a"),
        (Split::Validation, "b"),
    ] {
        exported.image(split, id, (4, 4), Value::Null);
    }
    exported.write(&[Format::Coco]);
    for (number, split, id) in [
        (1, "training", "a"),
        (2, "validation", "b"),
        (3, "test", "c"),
    ] {
        let image = &exported.python("coco", &[split])["images"][0];
        assert_eq!(
            (&image["id"], &image["data_row_id"]),
            (&json!(number), &json!(id))
        );
    }
}

#[test]
fn masks_count_in_any_colour_that_is_neither_black_nor_transparent() {
    let picture = ["##..", "....", "...#"];
    let (width, height, pixels) = drawn(&picture, 1);
    let coloured: Vec<u8> = pixels
        .iter()
        .flat_map(|pixel| [0, 0, pixel * 200])
        .collect();
    let clear: Vec<u8> = pixels
        .iter()
        .flat_map(|pixel| [255, 255, 255, pixel * 255])
        .collect();
    // Of two bytes a sample, in which the lower one alone may be set.
    let deep = |samples: &[u8]| -> Vec<u8> {
        let last = samples.len() - 1;
        let sample = |pixel: &u8| {
            let mut sample = samples.to_vec();
            sample[last] *= pixel;
            sample
        };
        pixels.iter().flat_map(sample).collect()
    };
    for file in [
        grey_png(width, height, &pixels),
        png_of(width, height, png::ColorType::Rgb, &coloured),
        png_of(width, height, png::ColorType::Rgba, &clear),
        deep_png(width, height, png::ColorType::Grayscale, &deep(&[0, 1])),
        deep_png(
            width,
            height,
            png::ColorType::GrayscaleAlpha,
            &deep(&[9, 9, 0, 1]),
        ),
    ] {
        let exported = things();
        let mask = exported.file("mask.png", &file);
        exported.image(
            Split::Test,
            "row",
            (width, height),
            objects(json!([masked("tree", &mask)])),
        );
        exported.write(&[Format::Coco]);
        let found = exported.python("coco", &["test"]);
        assert_eq!(found["annotations"][0]["mask"], as_rows(&picture));
    }
}

fn deep_png(width: u32, height: u32, colour: png::ColorType, bytes: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Sixteen);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(bytes).expect("pixels");
    writer.finish().expect("an end");
    file
}

#[test]
fn what_cannot_be_said_is_noted_and_the_rest_is_there() {
    let exported = things();
    let (width, height, pixels) = drawn(&RING, 255);
    let small = exported.file("small.png", &grey_png(2, 2, &[255; 4]));
    let torn = exported.file("torn.png", &grey_png(width, height, &pixels)[..40]);
    exported.image(
        Split::Test,
        "row",
        (width, height),
        objects(json!([
            boxed("bus", [0.0, 0.0, 1.0, 1.0]),
            boxed("car", [1.0, 1.0, 0.0, 3.0]),
            { "name": "line", "line": [{ "x": 1.0, "y": 1.0 }] },
            masked("tree", &small),
            masked("tree", &torn),
            masked("tree", "files/none.png"),
            masked("tree", "../../etc/passwd"),
            polygon("wide road", &[(1.0, 1.0), (2.0, 2.0)]),
            boxed("car", [-3.0, 1.0, 20.0, 2.0]),
        ])),
    );
    exported.row(Split::Test, &json!({ "data_row": { "id": "away" } }));
    exported.row(Split::Test, &json!("no row"));
    let notes = exported.write(&[Format::Coco]).notes;
    let count = |note: Note| notes.of(note).map_or(0, |noted| noted.count);
    for (note, times) in [
        (Note::UnknownClass, 2),
        (Note::NoExtent, 2),
        (Note::MaskSize, 1),
        (Note::UnreadableMask, 1),
        (Note::NoMask, 2),
        (Note::NoFile, 1),
        (Note::UnreadableRow, 1),
        (Note::OtherKind, 0),
    ] {
        assert_eq!(count(note), times, "{note:?} in {notes}");
    }
    assert_eq!(notes.of(Note::NoFile).expect("noted").first, "away");
    // Beyond its image it is as it was drawn.
    let found = exported.python("coco", &["test"]);
    assert_eq!(found["annotations"].as_array().expect("a list").len(), 1);
    assert_eq!(
        found["annotations"][0]["bbox"],
        json!([-3.0, 1.0, 20.0, 2.0])
    );
}

#[test]
fn a_run_of_texts_has_no_coco() {
    let mut ontology = images_of(&[]);
    ontology["media_type"] = "TEXT".into();
    let refused = Exported::of(ontology)
        .try_write(&[Format::Coco])
        .expect_err("refused");
    assert!(matches!(refused, FormatError::OtherMedium { .. }));
    let text = refused.to_string();
    assert!(
        text.starts_with("formats has \"coco\", but this run's data are TEXT"),
        "{text}"
    );
}

#[test]
fn what_a_run_is_of_may_be_unknown_to_labelbox() {
    let mut ontology = images_of(&[tool("car", "rectangle")]);
    ontology["media_type"] = "UNKNOWN".into();
    let exported = Exported::of(ontology);
    exported.image(Split::Training, "a", (8, 8), Value::Null);
    exported.write(&[Format::Coco]);
    let of_rows = Exported::of(json!({ "id": "o", "name": "things" }));
    let mut row = super::labelled("a", Value::Null);
    row["media_attributes"] = json!({ "mime_type": "video/mp4" });
    of_rows.row(Split::Training, &row);
    let refused = of_rows.try_write(&[Format::Hf]).expect_err("refused");
    let text = refused.to_string();
    assert!(text.contains("this run's data are video/mp4"), "{text}");
}

#[test]
fn an_image_that_its_storage_does_not_know_is_known_by_its_content() {
    let exported = things();
    for (id, content) in [
        ("a", grey_png(4, 4, &[0; 16])),
        ("b", b"%PDF-1.7 no image".to_vec()),
    ] {
        let path = exported.file(&format!("{id}.png"), &content);
        let mut row = super::image_row(id, &path, (4, 4), Value::Null);
        row["media_attributes"]["mime_type"] = "application/octet-stream".into();
        exported.row(Split::Test, &row);
    }
    let notes = exported.write(&[Format::Coco]).notes;
    assert_eq!(notes.of(Note::NotAnImage).expect("noted").first, "b");
    let found = exported.python("coco", &["test"]);
    assert_eq!(found["images"].as_array().expect("a list").len(), 1);
}
