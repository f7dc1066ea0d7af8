//! What is no result.

use std::{fs, os::unix::fs::symlink};

use serde_json::json;
use trainhook::formats::FormatError;

use super::{of_all_kinds, refusal};

#[test]
fn each_result_that_is_none_has_its_reason() {
    let exported = of_all_kinds();
    for (result, reason) in [
        (json!(7), "it is no JSON object"),
        (json!([1, 1, [1, 1, 2, 2]]), "it is no JSON object"),
        (json!({ "category_id": 1 }), "it has no image_id"),
        (json!({ "image_id": 1 }), "it has no category_id"),
        (
            json!({ "image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2], "score": "0.5" }),
            "its score is no number",
        ),
        (
            json!({ "image_id": 1, "category_id": 2, "segmentation": { "size": [4, 8] } }),
            "its segmentation is neither a list of polygons nor an RLE with size and counts",
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
            "its bbox is no list of four numbers",
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
        (
            "0 0.5 0.5 1 0.5 1 1.5",
            "its six numbers may be a triangle as well as a box",
        ),
        (
            "0 0 0 1 0 1 0",
            "its six numbers may be a triangle as well as a box",
        ),
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
