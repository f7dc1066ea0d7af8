//! COCO results and YOLO's labels as lines of Labelbox's import form.

use std::{fs, os::unix::fs::symlink};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use trainhook::{
    config::Format,
    dataset::Split,
    formats::{FormatError, Note, take_origin},
};

use super::{Exported, as_rows, boxed, drawn, grey_png, images_of, masked, objects, polygon, tool};

const RING: [&str; 4] = ["#####...", "#...#..#", "#...#...", "#####..."];

/// An 8 by 4 image without labels, one with, and one of unknown size.
fn exported(tools: &[Value]) -> Exported {
    let exported = Exported::of(images_of(tools));
    exported.image(Split::Training, "a", (8, 4), Value::Null);
    let (width, height, pixels) = drawn(&RING, 255);
    let mask = exported.file("mask.png", &grey_png(width, height, &pixels));
    let label = objects(json!([
        boxed("car", [1.0, 1.0, 7.0, 3.0]),
        polygon("road", &[(0.0, 0.0), (8.0, 0.0), (8.0, 4.0)]),
        masked("tree", &mask),
    ]));
    exported.image(Split::Test, "b", (8, 4), label);
    exported.row(Split::Test, &json!({ "data_row": { "id": "c" } }));
    exported.write(&[Format::Coco]);
    exported
}

fn of_all_kinds() -> Exported {
    exported(&[
        tool("car", "rectangle"),
        tool("road", "polygon"),
        tool("tree", "raster-segmentation"),
    ])
}

fn of_outlines() -> Exported {
    exported(&[tool("road", "polygon"), tool("tree", "raster-segmentation")])
}

/// The predictions, each with its origin taken out.
fn predictions(exported: &Exported) -> Vec<(String, Value)> {
    let summary = exported.read_back().expect("read");
    assert_eq!(summary.refused, 0, "{:?}", exported.lines());
    let lines = exported.lines();
    assert_eq!(summary.predictions, lines.len() as u64);
    let apart = |mut line: Map<String, Value>| {
        let origin = take_origin(&mut line).expect("an origin");
        (origin.place, line.into())
    };
    lines.into_iter().map(apart).collect()
}

/// Why the only line is no prediction.
fn refusal(exported: &Exported) -> String {
    let summary = exported.read_back().expect("read");
    assert_eq!(
        (summary.predictions, summary.refused),
        (0, 1),
        "{:?}",
        exported.lines()
    );
    let line = exported.lines().first_mut().and_then(take_origin);
    line.and_then(|origin| origin.refused).expect("a reason")
}

/// A prediction's mask as rows of zeros and ones.
fn mask(prediction: &Value) -> Value {
    let png = prediction["mask"]["png"].as_str().expect("a text");
    let file = BASE64_STANDARD.decode(png).expect("base64");
    let decoder = png::Decoder::new(std::io::Cursor::new(file));
    let mut reader = decoder.read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut pixels).expect("pixels");
    pixels
        .chunks(info.line_size)
        .map(|row| json!(row))
        .collect()
}

#[test]
fn what_pycocotools_writes_comes_back_as_it_was_labelled() {
    let exported = of_all_kinds();
    let out = exported.path("out").display().to_string();
    let found = exported.python("results", &["test", &out]);
    // Its own evaluation, too, takes the labels for their own best prediction.
    let precision = found["precision"].as_f64().expect("a number");
    assert!(precision > 0.999, "{precision}");
    let predictions = predictions(&exported);
    let expected_box = json!({
        "dataRow": { "id": "b" }, "name": "car", "confidence": 0.75,
        "bbox": { "top": 1.0, "left": 1.0, "height": 3.0, "width": 7.0 },
    });
    assert_eq!(
        predictions[0],
        ("coco_results.json, result 1".to_owned(), expected_box)
    );
    assert_eq!(predictions[1].1["name"], "road");
    let polygon = predictions[1].1["polygon"].as_array().expect("points");
    assert_eq!(polygon.first(), polygon.last());
    assert_eq!(predictions[2].1["name"], "tree");
    assert_eq!(mask(&predictions[2].1), as_rows(&RING));
}

#[test]
fn a_result_takes_the_form_that_its_class_is_drawn_in() {
    let exported = of_all_kinds();
    let square = json!([[1, 1, 3, 1, 3, 3, 1, 3]]);
    let runs = json!({ "size": [4, 8], "counts": [4, 2, 2, 2, 22] });
    let result = |category: u64, shape: Value| {
        let mut result = json!({ "image_id": 1, "category_id": category, "score": 0.5 });
        result
            .as_object_mut()
            .expect("an object")
            .extend(shape.as_object().expect("an object").clone());
        result
    };
    let results = json!([
        result(1, json!({ "segmentation": square })),
        result(1, json!({ "segmentation": runs, "bbox": [0, 0, 8, 4] })),
        result(2, json!({ "bbox": [1, 1, 2, 2] })),
        result(2, json!({ "segmentation": runs, "bbox": [0, 0, 8, 4] })),
        result(3, json!({ "segmentation": square })),
        result(3, json!({ "bbox": [1, 1, 2, 2], "segmentation": [] })),
    ]);
    exported.leave("coco_results.json", results.to_string());
    let found: Vec<Value> = predictions(&exported)
        .into_iter()
        .map(|(_, line)| line)
        .collect();
    let box_of = |at: usize| found[at]["bbox"].clone();
    assert_eq!(
        box_of(0),
        json!({ "top": 1.0, "left": 1.0, "height": 2.0, "width": 2.0 })
    );
    assert_eq!(
        box_of(1),
        json!({ "top": 0.0, "left": 0.0, "height": 4.0, "width": 8.0 })
    );
    let points = |at: usize| -> Vec<Value> {
        let points = found[at]["polygon"].as_array().expect("points");
        points
            .iter()
            .map(|point| json!([point["x"], point["y"]]))
            .collect()
    };
    let square =
        [[1.0, 1.0], [3.0, 1.0], [3.0, 3.0], [1.0, 3.0], [1.0, 1.0]].map(|point| json!(point));
    assert_eq!(points(2), square);
    let block =
        [[3.0, 0.0], [3.0, 2.0], [1.0, 2.0], [1.0, 0.0], [3.0, 0.0]].map(|point| json!(point));
    assert_eq!(points(3), block);
    let filled = as_rows(&["........", ".##.....", ".##.....", "........"]);
    assert_eq!([mask(&found[4]), mask(&found[5])], [filled.clone(), filled]);
    let notes = exported.read_back().expect("read").notes;
    assert_eq!(notes.of(Note::BoxAsRegion).expect("noted").count, 2);
    assert_eq!(notes.of(Note::MaskAsPolygons).expect("noted").count, 1);
}

#[test]
fn a_box_a_little_beyond_its_image_ends_at_the_edge_and_one_far_beyond_stays() {
    let exported = of_all_kinds();
    let result = |bbox: [f64; 4]| json!({ "image_id": 1, "category_id": 1, "bbox": bbox });
    let results = json!([
        result([-0.25, 1.0, 8.5, 3.5]),
        result([-5.0, 1.0, 4.0, 2.0])
    ]);
    exported.leave("coco_results.json", results.to_string());
    let found = predictions(&exported);
    assert_eq!(
        found[0].1["bbox"],
        json!({ "top": 1.0, "left": 0.0, "height": 3.0, "width": 8.0 })
    );
    assert_eq!(found[1].1["bbox"]["left"], -5.0);
    assert_eq!(found[1].1.get("confidence"), None);
}

#[test]
fn tools_of_the_same_name_are_told_apart_by_their_ids() {
    let exported = exported(&[tool("car", "rectangle"), tool("car", "polygon")]);
    let result = |category| json!({ "image_id": "000000000001", "category_id": category, "bbox": [0, 0, 1, 1] });
    exported.leave(
        "coco_results.json",
        json!([result(1.0), result(2.0)]).to_string(),
    );
    let found = predictions(&exported);
    assert_eq!(
        (&found[0].1["schemaId"], found[0].1.get("name")),
        (&json!("rectangle car"), None)
    );
    assert_eq!(found[1].1["schemaId"], "polygon car");
}

#[test]
fn each_result_that_is_none_has_its_reason() {
    let exported = of_all_kinds();
    for (result, reason) in [
        (json!(7), "it is no result: invalid type"),
        (
            json!({ "category_id": 1 }),
            "it is no result: missing field `image_id`",
        ),
        (
            json!({ "image_id": 9, "category_id": 1 }),
            "there is no image with the id 9",
        ),
        (
            json!({ "image_id": -1, "category_id": 1 }),
            "there is no image with the id -1",
        ),
        (
            json!({ "image_id": [], "category_id": 1 }),
            "there is no image with the id []",
        ),
        (
            json!({ "image_id": 1, "category_id": 0 }),
            "there is no category with the id 0",
        ),
        (
            json!({ "image_id": 1, "category_id": 4 }),
            "there is no category with the id 4",
        ),
        (
            json!({ "image_id": 1, "category_id": 1 }),
            "it has neither a bbox nor a segmentation",
        ),
        (
            json!({ "image_id": 1, "category_id": 1, "bbox": [1, 1, 0, 3] }),
            "it has no extent",
        ),
        (
            json!({ "image_id": 1, "category_id": 1, "bbox": [1, 1, 1] }),
            "it is no result: invalid length 3",
        ),
        (
            json!({ "image_id": 1, "category_id": 2, "segmentation": [[1, 1, 2, 2, 3]] }),
            "its polygons need two numbers a point",
        ),
        (
            json!({ "image_id": 1, "category_id": 3, "segmentation": { "size": [8, 4], "counts": [32] } }),
            "its mask is 4 by 8 pixels, unlike its image",
        ),
        (
            json!({ "image_id": 1, "category_id": 3, "segmentation": { "size": [4, 8], "counts": [33] } }),
            "its runs are longer than its size",
        ),
        (
            json!({ "image_id": 1, "category_id": 3, "segmentation": { "size": [4, 8], "counts": "~" } }),
            "its counts are no run lengths",
        ),
        (
            json!({ "image_id": 1, "category_id": 3, "segmentation": { "size": [4, 8], "counts": [32] } }),
            "it has no extent",
        ),
        (
            json!({ "image_id": 3, "category_id": 3, "bbox": [1, 1, 2, 2] }),
            "nobody knows how large its image is",
        ),
    ] {
        exported.leave("coco_results.json", json!([result]).to_string());
        let refused = refusal(&exported);
        assert!(refused.starts_with(reason), "{refused}\n{result}");
    }
}

#[test]
fn results_that_break_off_are_no_results() {
    let exported = of_all_kinds();
    let good = json!({ "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1] });
    for (content, text) in [
        (
            format!("[{good}, {good}, {{\"image_id\": 1"),
            "coco_results.json: it is no list of results after the first 2: EOF",
        ),
        (
            format!("[{good}, NaN]"),
            "after the first 1: expected value",
        ),
        (
            good.to_string(),
            "after the first 0: invalid type: map, expected a list of results",
        ),
        (
            format!("[{good}] more"),
            "after the first 1: trailing characters",
        ),
        (String::new(), "after the first 0: EOF"),
        (
            format!("[\"{}\"]", "x".repeat(17 << 20)),
            "a result is longer than 16 MiB",
        ),
    ] {
        exported.leave("coco_results.json", content);
        let broken = exported.read_back().expect_err("broken");
        assert!(matches!(broken, FormatError::Broken { .. }));
        assert!(broken.to_string().contains(text), "{broken}");
    }
}

#[test]
fn nothing_is_read_through_links() {
    let exported = of_all_kinds();
    let elsewhere = tempfile::tempdir().expect("a folder");
    fs::write(elsewhere.path().join("000000000001.txt"), "0 0.5 0.5 1 1").expect("a file");
    symlink(elsewhere.path(), exported.path("out/yolo")).expect("a link");
    assert!(matches!(
        exported.read_back(),
        Err(FormatError::Broken { .. })
    ));
    fs::remove_file(exported.path("out/yolo")).expect("removed");
    fs::create_dir_all(exported.path("out/yolo/labels")).expect("a folder");
    let link = exported.path("out/yolo/labels/000000000001.txt");
    symlink(elsewhere.path().join("000000000001.txt"), &link).expect("a link");
    let refused = refusal(&exported);
    assert!(refused.contains("symbolic links"), "{refused}");
}

#[test]
fn without_results_there_are_no_lines() {
    let exported = of_all_kinds();
    let summary = exported.read_back().expect("read");
    assert_eq!(summary, Default::default());
    assert!(exported.lines().is_empty());
}

#[test]
fn boxes_of_yolo_come_back_with_their_confidence() {
    let exported = of_all_kinds();
    let lines =
        "0 0.5 0.5 1 1 0.875\n\n0 0.9375 0.875 0.125 0.25\n0.0 0.25 0.5 0.333333 0.666667 0.5 17\n";
    exported.leave("yolo/labels/000000000001.txt", lines);
    exported.leave("yolo/labels/readme.md", "no labels");
    let found = predictions(&exported);
    let whole = json!({
        "dataRow": { "id": "a" }, "name": "car", "confidence": 0.875,
        "bbox": { "top": 0.0, "left": 0.0, "height": 4.0, "width": 8.0 },
    });
    assert_eq!(
        found[0],
        ("yolo/labels/000000000001.txt, line 1".to_owned(), whole)
    );
    assert_eq!(found[1].0, "yolo/labels/000000000001.txt, line 3");
    assert_eq!(
        found[1].1["bbox"],
        json!({ "top": 3.0, "left": 7.0, "height": 1.0, "width": 1.0 })
    );
    assert_eq!(found[1].1.get("confidence"), None);
    assert_eq!(found[2].1["confidence"], 0.5);
    let left = found[2].1["bbox"]["left"].as_f64().expect("a number");
    assert!((left - 0.667).abs() < 1e-9, "{left}");
}

#[test]
fn outlines_of_yolo_come_back_as_polygons_and_masks() {
    let exported = of_outlines();
    let square = "0.125 0.25 0.375 0.25 0.375 0.75 0.125 0.75";
    exported.leave(
        "yolo/labels/2.txt",
        format!("0 {square}\n1 {square} 0.25\n0 0 0 1 0 1 1"),
    );
    let found = predictions(&exported);
    let points = found[0].1["polygon"].as_array().expect("points");
    assert_eq!(points.len(), 5);
    assert_eq!(
        (&points[0], &points[2]),
        (
            &json!({ "x": 1.0, "y": 1.0 }),
            &json!({ "x": 3.0, "y": 3.0 })
        )
    );
    assert_eq!(found[0].1["dataRow"]["id"], "b");
    assert_eq!(found[1].1["confidence"], 0.25);
    assert_eq!(
        mask(&found[1].1),
        as_rows(&["........", ".##.....", ".##.....", "........"])
    );
    assert_eq!(found[2].1["polygon"].as_array().expect("points").len(), 4);
}

#[test]
fn each_line_of_yolo_that_is_none_has_its_reason() {
    let exported = of_all_kinds();
    for (line, reason) in [
        (
            "0 0.5 0.5 1",
            "its numbers are neither a box nor an outline",
        ),
        ("0 0.5 0.5 1 nan", "\"nan\" is no number"),
        ("0 0.5 0,5 1 1", "\"0,5\" is no number"),
        ("3 0.5 0.5 1 1", "its first number is no class"),
        ("-1 0.5 0.5 1 1", "its first number is no class"),
        ("0.5 0.5 0.5 1 1", "its first number is no class"),
        ("1e300 0.5 0.5 1 1", "its first number is no class"),
        ("0 0.5 0.5 0 1", "it has no extent"),
        ("0 1e308 1e308 1e308 1e308", "it has no extent"),
    ] {
        exported.leave("yolo/labels/1.txt", line);
        let refused = refusal(&exported);
        assert!(refused.starts_with(reason), "{refused}\n{line}");
    }
    exported.leave("yolo/labels/1.txt", "");
    exported.leave("yolo/labels/cat.txt", "0 0.5 0.5 1 1");
    let refused = refusal(&exported);
    assert!(
        refused.starts_with("its name is not that of an image"),
        "{refused}"
    );
    fs::remove_file(exported.path("out/yolo/labels/cat.txt")).expect("removed");
    exported.leave("yolo/labels/3.txt", "0 0.5 0.5 1 1");
    let refused = refusal(&exported);
    assert!(
        refused.starts_with("nobody knows how large its image is"),
        "{refused}"
    );
}
