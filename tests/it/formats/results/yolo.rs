//! Results as ultralytics writes them.

use serde_json::json;

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
