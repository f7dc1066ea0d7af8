//! YOLO's folders, read as ultralytics' documentation says.

use serde_json::{Value, json};
use trainhook::{config::Format, dataset::Split, formats::Note};

use super::{Exported, as_rows, boxed, drawn, grey_png, images_of, masked, objects, polygon, tool};

#[test]
fn boxes_are_shares_of_their_images() {
    let exported = Exported::of(images_of(&[
        tool("car", "rectangle"),
        tool("a \"b\"\u{7f}: ä🚗", "polygon"),
    ]));
    let triangle = polygon("a \"b\"\u{7f}: ä🚗", &[(2.0, 1.0), (4.0, 1.0), (4.0, 3.0)]);
    let drawn = objects(json!([
        boxed("car", [0.0, 0.0, 8.0, 4.0]),
        boxed("car", [7.0, 3.0, 1.0, 1.0]),
        triangle
    ]));
    exported.image(Split::Training, "a", (8, 4), drawn);
    exported.image(Split::Training, "b", (8, 4), Value::Null);
    exported.image(Split::Validation, "c", (8, 4), Value::Null);
    let written = exported.write(&[Format::Yolo]);
    assert!(written.notes.is_empty(), "{}", written.notes);
    let found = exported.python("yolo", &["training"]);
    assert_eq!(
        found["images"]["000000000001.png"]["labels"],
        json!([
            [0.0, 0.5, 0.5, 1.0, 1.0],
            [0.0, 0.9375, 0.875, 0.125, 0.25],
            // Among boxes, a polygon is the box around it.
            [1.0, 0.375, 0.5, 0.25, 0.5],
        ])
    );
    assert_eq!(found["images"]["000000000001.png"]["pixels"], json!([8, 4]));
    assert_eq!(found["images"]["000000000002.png"]["labels"], json!([]));
    assert_eq!(
        found["yaml"],
        json!({
            "train": "images/training", "val": "images/validation", "nc": 2,
            "names": { "0": "car", "1": "a \"b\"\u{7f}: ä🚗" },
        })
    );
}

#[test]
fn boxes_beyond_their_image_end_at_its_edge() {
    let exported = Exported::of(images_of(&[tool("car", "rectangle")]));
    let boxes = [
        [-2.0, -2.0, 4.0, 4.0],
        [7.0, 1.0, 9.0, 1.0],
        [20.0, 1.0, 2.0, 2.0],
    ];
    let boxes: Vec<Value> = boxes.map(|bounds| boxed("car", bounds)).into();
    exported.image(Split::Test, "a", (8, 4), objects(json!(boxes)));
    let notes = exported.write(&[Format::Yolo]).notes;
    let found = exported.python("yolo", &["test"]);
    assert_eq!(
        found["images"]["000000000001.png"]["labels"],
        json!([
            [0.0, 0.125, 0.25, 0.25, 0.5],
            [0.0, 0.9375, 0.375, 0.125, 0.25]
        ])
    );
    assert_eq!(notes.of(Note::Outside).expect("noted").count, 2);
    assert_eq!(notes.of(Note::NoExtent).expect("noted").count, 1);
    // Nothing to choose by: ultralytics asks for it nevertheless.
    assert_eq!(notes.of(Note::NoValidation).expect("noted").count, 1);
    assert_eq!(found["yaml"]["val"], "images/training");
    assert_eq!(found["yaml"]["test"], "images/test");
}

#[test]
fn rows_without_a_split_are_trained_on_where_none_is_for_training() {
    let exported = Exported::of(images_of(&[tool("car", "rectangle")]));
    exported.image(Split::Unassigned, "a", (8, 4), Value::Null);
    let notes = exported.write(&[Format::Yolo]).notes;
    let found = exported.python("yolo", &["unassigned"]);
    assert_eq!(found["yaml"]["train"], "images/unassigned");
    assert_eq!(found["yaml"]["val"], "images/unassigned");
    assert_eq!(notes.of(Note::NoValidation).expect("noted").count, 1);
}

#[test]
fn a_split_whose_rows_were_all_left_out_is_empty() {
    let exported = Exported::of(images_of(&[tool("car", "rectangle")]));
    exported.image(Split::Training, "a", (8, 4), Value::Null);
    for split in [Split::Validation, Split::Test] {
        exported.row(split, &super::labelled("no file", Value::Null));
    }
    let notes = exported.write(&[Format::Yolo]).notes;
    let found = exported.python("yolo", &["training"]);
    assert_eq!(found["yaml"]["val"], "images/training");
    assert_eq!(found["yaml"].get("test"), None);
    assert_eq!(notes.of(Note::NoValidation).expect("noted").count, 1);
}

#[test]
fn without_boxes_labels_are_outlines_and_a_mask_is_one_object_with_its_holes() {
    let picture = [
        "##......", "##..####", "....#..#", "....#.##", "#...####", "...#....",
    ];
    let exported = Exported::of(images_of(&[
        tool("road", "polygon"),
        tool("tree", "raster-segmentation"),
    ]));
    let (width, height, pixels) = drawn(&picture, 255);
    let mask = exported.file("mask.png", &grey_png(width, height, &pixels));
    let square = [(0.0, 0.0), (8.0, 0.0), (8.0, 3.0), (0.0, 3.0)];
    let drawn = objects(json!([polygon("road", &square), masked("tree", &mask)]));
    exported.image(Split::Training, "a", (width, height), drawn);
    exported.write(&[Format::Yolo]);
    let found = exported.python("yolo", &["training"]);
    let image = &found["images"]["000000000001.png"];
    assert_eq!(
        image["labels"][0],
        json!([0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.5, 0.0, 0.5])
    );
    assert_eq!(image["labels"].as_array().expect("a list").len(), 2);
    assert_eq!(image["filled"][1], as_rows(&picture));
}

#[test]
fn an_image_of_unknown_kind_and_size_is_asked_itself() {
    let exported = Exported::of(images_of(&[tool("car", "rectangle")]));
    let path = exported.file("photo", &grey_png(16, 4, &[0; 64]));
    let mut row = super::labelled("a", objects(json!([boxed("car", [0.0, 0.0, 4.0, 4.0])])));
    row["data_row"]["local_path"] = path.into();
    exported.row(Split::Training, &row);
    // The first parts of a JPEG of 300 by 200 pixels.
    let jpeg = [
        &[0xff, 0xd8, 0xff, 0xe0, 0, 4, 0, 0][..],
        &[0xff, 0xff, 0xc2, 0, 11, 8, 0, 200, 1, 44],
    ];
    let path = exported.file("unknown", &jpeg.concat());
    let mut row = super::labelled("b", Value::Null);
    row["data_row"]["local_path"] = path.into();
    exported.row(Split::Training, &row);
    let path = exported.file("text", b"no image");
    row["data_row"]["local_path"] = path.into();
    exported.row(Split::Training, &row);
    let notes = exported.write(&[Format::Yolo, Format::Coco]).notes;
    assert_eq!(notes.of(Note::NotAnImage).expect("noted").count, 1);
    let labels =
        std::fs::read_to_string(exported.path("data/yolo/labels/training/000000000001.txt"));
    assert_eq!(
        labels.expect("a file"),
        "0 0.125000 0.500000 0.250000 1.000000\n"
    );
    let coco = std::fs::read(exported.path("data/coco/training.json")).expect("a file");
    let coco: Value = serde_json::from_slice(&coco).expect("JSON");
    let sizes = |at: usize| json!([coco["images"][at]["width"], coco["images"][at]["height"]]);
    assert_eq!([sizes(0), sizes(1)], [json!([16, 4]), json!([300, 200])]);
    assert!(
        exported
            .path("data/yolo/images/training/000000000002.jpg")
            .exists()
    );
}
