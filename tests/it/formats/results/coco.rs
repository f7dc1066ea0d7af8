//! Results as pycocotools writes them.

use serde_json::{Value, json};
use trainhook::formats::Note;

use super::{
    super::{as_rows, tool},
    RING, exported, mask, of_all_kinds, predictions,
};

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
