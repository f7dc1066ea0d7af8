//! Results as ultralytics writes them.

use serde_json::json;
use trainhook::formats::Note;

use super::{super::as_rows, mask, of_all_kinds, of_outlines, predictions};

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
fn an_outline_may_have_a_confidence_and_a_track() {
    let exported = of_outlines();
    let square = "0.125 0.25 0.375 0.25 0.375 0.75 0.125 0.75";
    let lines = format!("0 {square} 0.5 17\n0 {square} 0 1\n0 0 0 1 0 1 1 0.25 2");
    exported.leave("yolo/labels/2.txt", lines);
    let found = predictions(&exported);
    let points = |at: usize| found[at].1["polygon"].as_array().map(Vec::len);
    assert_eq!(
        (points(0), points(1), points(2)),
        (Some(5), Some(6), Some(4))
    );
    let confidence = |at: usize| found[at].1.get("confidence");
    assert_eq!(confidence(0), Some(&json!(0.5)));
    // What may be a point is one.
    assert_eq!(confidence(1), None);
    assert_eq!(confidence(2), Some(&json!(0.25)));
}

#[test]
fn an_outline_of_two_points_is_no_box() {
    let square = "0.125 0.25 0.375 0.25 0.375 0.75 0.125 0.75";
    let small = "0 0.5 0.5 0.625 0.5\n0 0.5 0.5 0.625 0.5 0.75\n0 0.5 0.5 0.625 0.5 0.75 3\n";
    for exported in [of_outlines(), of_all_kinds()] {
        exported.leave("yolo/labels/1.txt", small);
        // Where the ontology has boxes, too, other lines tell what these are.
        exported.leave("yolo/labels/2.txt", format!("1 {square}"));
        let summary = exported.read_back().expect("read");
        assert_eq!((summary.predictions, summary.refused), (1, 0));
        assert_eq!(summary.notes.of(Note::NoExtent).expect("noted").count, 3);
    }
}

#[test]
fn boxes_of_classes_that_are_outlines_are_boxes_where_no_line_is_an_outline() {
    let exported = of_outlines();
    let lines = "0 0.25 0.5 0.5 0.5 0.875\n0 0.25 0.5 0.5 0.5 0.875 2\n0 0 0 1 0 1 0.5";
    exported.leave("yolo/labels/1.txt", lines);
    let summary = exported.read_back().expect("read");
    assert_eq!(summary.notes.of(Note::BoxAsRegion).expect("noted").count, 2);
    let found = predictions(&exported);
    let points = |at: usize| found[at].1["polygon"].as_array().map(Vec::len);
    assert_eq!(
        (points(0), points(1), points(2)),
        (Some(5), Some(5), Some(4))
    );
    assert_eq!(found[1].1["confidence"], 0.875);
}
