//! COCO results and YOLO's labels as lines of Labelbox's import form.

mod coco;
mod refusals;
mod yolo;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use trainhook::{config::Format, dataset::Split, formats::take_origin};

use super::{Exported, boxed, drawn, grey_png, images_of, masked, objects, polygon, tool};

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
