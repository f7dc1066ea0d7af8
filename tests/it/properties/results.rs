//! Results that a training leaves for formats: whatever they are, each is a prediction or has a reason.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use serde_json::{Value, json};
use trainhook::{
    dataset::{Row, Split},
    formats::take_origin,
};

use super::{always, bytes, damaged, json};
use crate::formats::{Exported, images_of, labelled, tool};

/// A run of boxes, polygons and masks with three images.
fn exported(outlines: bool) -> Exported {
    let mut tools = vec![tool("tree", "raster-segmentation"), tool("road", "polygon")];
    if !outlines {
        tools.push(tool("car", "rectangle"));
    }
    let exported = Exported::of(images_of(&tools));
    for id in ["a", "b", "c"] {
        exported.image(Split::Test, id, (8, 6), Value::Null);
    }
    exported.write(&[]);
    exported
}

/// Reading must end in an answer; what it wrote must be predictions, or reasons.
fn holds(exported: &Exported) {
    let Ok(summary) = exported.read_back() else {
        return;
    };
    let lines = exported.lines();
    assert_eq!(lines.len() as u64, summary.predictions + summary.refused);
    for mut line in lines {
        let origin = take_origin(&mut line).expect("an origin");
        match origin.refused {
            Some(reason) => assert!(!reason.is_empty() && line.is_empty(), "{line:?}"),
            None => {
                let shapes = ["bbox", "polygon", "mask"];
                let shape = shapes.iter().find_map(|key| line.get(*key));
                let shape = shape.expect("a shape").to_string();
                assert!(!shape.contains("null"), "{line:?}");
                assert!(line["dataRow"]["id"].is_string(), "{line:?}");
            }
        }
    }
}

/// Numbers that are near to good ones.
fn number() -> impl Strategy<Value = Value> + Clone {
    prop_oneof![
        4 => (-3_i64..12).prop_map(Value::from),
        3 => (-40_i64..90).prop_map(|tenths| json!(f64::from(i32::try_from(tenths).expect("small")) / 10.0)),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
    ]
    .boxed()
}

fn results() -> impl Strategy<Value = Vec<u8>> {
    let numbers = |most: usize| proptest::collection::vec(number(), 0..most);
    let counts = prop_oneof![
        numbers(9).prop_map(Value::from),
        "[0-o]{0,12}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let segmentation = prop_oneof![
        proptest::collection::vec(numbers(12), 0..3).prop_map(|rings| json!(rings)),
        (numbers(3), counts.clone())
            .prop_map(|(size, counts)| json!({ "size": size, "counts": counts })),
        counts.prop_map(|counts| json!({ "size": [6, 8], "counts": counts })),
        json(),
    ];
    let bbox = prop_oneof![numbers(6).prop_map(Value::from), json()];
    let result = (number(), number(), bbox, segmentation, number()).prop_map(
        |(image, category, bbox, segmentation, score)| {
            json!({
                "image_id": image, "category_id": category, "bbox": bbox, "segmentation": segmentation,
                "score": score,
            })
        },
    );
    let without_box = result.clone().prop_map(|mut result| {
        result.as_object_mut().map(|keys| keys.remove("bbox"));
        result
    });
    let any_result = prop_oneof![3 => result, 3 => without_box, 1 => json()];
    proptest::collection::vec(any_result, 0..4)
        .prop_map(|results| json!(results).to_string().into_bytes())
}

fn labels() -> impl Strategy<Value = Vec<u8>> {
    let line = proptest::collection::vec(number(), 0..14);
    let text = |line: Vec<Value>| {
        let words: Vec<String> = line.iter().map(Value::to_string).collect();
        words.join(" ")
    };
    let lines = proptest::collection::vec(line.prop_map(text), 0..4);
    lines.prop_map(|lines| lines.join("\n").into_bytes())
}

#[test]
fn no_bytes_in_coco_results_break_their_reader() {
    let exported = exported(false);
    let good = br#"[{"image_id":1,"category_id":1,"segmentation":{"size":[6,8],"counts":"63N2"},"score":0.5}]"#;
    let contents = prop_oneof![
        results(),
        damaged(results()),
        damaged(Just(good.to_vec())),
        bytes()
    ];
    always(contents, |content| {
        exported.leave("coco_results.json", content);
        holds(&exported);
    });
}

#[test]
fn no_bytes_in_yolo_labels_break_their_reader() {
    for outlines in [false, true] {
        let exported = exported(outlines);
        always(
            prop_oneof![labels(), damaged(labels()), bytes()],
            |content| {
                exported.leave("yolo/labels/2.txt", content);
                holds(&exported);
            },
        );
    }
}

#[test]
fn no_row_of_an_export_breaks_the_formats() {
    let tools = [
        tool("tree", "raster-segmentation"),
        tool("road", "polygon"),
        tool("car", "rectangle"),
    ];
    let entity = tool("name", "named-entity");
    let number = || number();
    let point = (number(), number()).prop_map(|(x, y)| json!({ "x": x, "y": y }));
    let object = prop_oneof![
        [number(), number(), number(), number()].prop_map(|[left, top, width, height]| {
            json!({ "name": "car", "bounding_box": { "left": left, "top": top, "width": width, "height": height } })
        }),
        proptest::collection::vec(point, 0..6).prop_map(|points| json!({ "name": "road", "polygon": points })),
        (any::<u16>(), 0_u64..9).prop_map(|(start, length)| {
            let location = json!({ "start": start % 9, "end": u64::from(start % 9) + length });
            json!({ "name": "name", "location": location })
        }),
    ];
    let objects = proptest::collection::vec(object, 0..4);
    let rows = (objects, "\\PC{0,12}", number(), number());
    always(rows, |(objects, text, width, height)| {
        let mut row = labelled("a", json!({ "objects": objects, "classifications": [] }));
        row["data_row"]["row_data"] = text.into();
        row["data_row"]["local_path"] = "files/a.png".into();
        row["media_attributes"] = json!({ "width": width, "height": height });
        if Row::read(row.to_string().as_bytes()).is_err() {
            return;
        }
        let images = Exported::of(images_of(&tools));
        images.row(Split::Test, &row);
        // Formats that would hold nothing are refused.
        images.image(Split::Test, "b", (8, 8), Value::Null);
        images.write_all();
        row["data_row"]["local_path"] = Value::Null;
        let texts = Exported::of(json!({
            "id": "o", "name": "n", "media_type": "TEXT", "tools": [entity.clone()],
        }));
        texts.row(Split::Test, &row);
        let mut plain = labelled("b", Value::Null);
        plain["data_row"]["row_data"] = "plain".into();
        texts.row(Split::Test, &plain);
        texts.write_all();
    });
}
