//! Lines of predictions: whatever is written, it is sent or rejected with a reason, and what is sent is good.

use proptest::{
    prelude::{Strategy, any, prop_oneof},
    sample::{Index, select},
};
use serde_json::{Value, json};
use trainhook::predictions::{Checker, freeze};

use super::{always, bytes, damaged, json};
use crate::predictions::{ontology, rows};

/// Lines that are sent.
fn good_lines() -> Vec<Value> {
    let row = json!({"id": "dr1"});
    vec![
        json!({"uuid": "a71d65ca-102e-43b2-a083-6d9bfbf12d06", "dataRow": row, "name": "dog", "confidence": 0.5,
               "classifications": [{"name": "colour", "answer": {"name": "red"}}],
               "bbox": {"top": 1.0, "left": 2.0, "height": 3.0, "width": 4.0}}),
        json!({"dataRow": {"globalKey": "gk1"}, "name": "road", "polygon": [{"x": 0, "y": 0}, {"x": 9, "y": 0}, {"x": 9, "y": 9}]}),
        json!({"data_row": "gk2", "name": "lane", "line": [{"x": 0, "y": 0}, {"x": 9, "y": 0}]}),
        json!({"data_row": "dr3", "name": "person", "location": {"start": 1, "end": 2}, "customMetrics": []}),
        json!({"global_key": "gk1", "name": "weather", "answer": "sunny", "confidence": 1}),
        json!({"dataRow": row, "schemaId": "id-things", "answer": [{"schemaId": "id-tree", "confidence": 0.1}, "house"]}),
        json!({"dataRow": row, "name": "remark", "answer": "free", "frames": [{"start": 1, "end": 2}]}),
        json!({"dataRow": row, "name": "sky", "mask": {"png": ""}, "page": 1}),
        json!({"dataRow": row, "metricName": "own", "metricValue": {"0.1": 0.5, "0.2": 3}, "aggregation": "SUM"}),
        json!({"dataRow": row, "metricName": "own", "metricValue": [1, 2, 3, 4], "featureName": "dog"}),
    ]
}

/// A good line with another value somewhere.
fn twisted() -> impl Strategy<Value = Vec<u8>> {
    let values = prop_oneof![
        json(),
        select(good_lines()),
        select(vec![
            json!("dog"),
            json!("sunny"),
            json!("dr1"),
            json!(0.5),
            json!([]),
            json!({})
        ]),
    ];
    (select(good_lines()), any::<[Index; 3]>(), values).prop_map(|(mut line, path, value)| {
        put(&mut line, &path, value);
        line.to_string().into_bytes()
    })
}

/// Follows the path as far as it leads, and puts the value there.
fn put(into: &mut Value, path: &[Index], value: Value) {
    match (into, path) {
        (Value::Object(map), [at, rest @ ..]) if !map.is_empty() => {
            let at = at.index(map.len());
            put(map.iter_mut().nth(at).expect("there").1, rest, value);
        }
        (Value::Array(list), [at, rest @ ..]) if !list.is_empty() => {
            let at = at.index(list.len());
            put(&mut list[at], rest, value);
        }
        (place, _) => *place = value,
    }
}

pub(crate) fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let good = || select(good_lines()).prop_map(|line| line.to_string().into_bytes());
    prop_oneof![
        2 => bytes(),
        2 => json().prop_map(|value| value.to_string().into_bytes()),
        6 => damaged(good()),
        6 => twisted(),
    ]
}

#[test]
fn every_line_is_sent_or_rejected_with_a_reason() {
    let (ontology, rows) = (ontology(), rows());
    for line in good_lines() {
        let checked =
            Checker::new(&ontology, &rows).check(line.to_string().as_bytes(), &mut Vec::new());
        assert!(checked.is_ok(), "{line}: {checked:?}");
    }
    always(any_line(), |line| {
        let (mut checker, mut out) = (Checker::new(&ontology, &rows), Vec::new());
        match checker.check(&line, &mut out) {
            Err(rejection) => {
                let reason = rejection.to_string();
                assert!(!reason.trim().is_empty() && reason.len() < 2000, "{reason}");
            }
            Ok(checked) => {
                is_good(&out);
                // What is sent would be sent again, just as it is.
                let mut again = Vec::new();
                let repeated = checker.check(&out, &mut again).expect("sent");
                assert_eq!(
                    (repeated.row, repeated.feature),
                    (checked.row, checked.feature)
                );
                assert_eq!(
                    String::from_utf8_lossy(&again),
                    String::from_utf8_lossy(&out)
                );
            }
        }
    });
}

/// What Labelbox asks of every line, looked at without any of the checker's own code.
fn is_good(line: &[u8]) {
    assert!(!line.contains(&b'\n'));
    let line: Value = serde_json::from_slice(line).expect("JSON");
    let names = ["id", "globalKey"].map(|key| line["dataRow"][key].is_string());
    assert!(names[0] ^ names[1], "{line}");
    if line.get("metricName").is_some() {
        assert!(
            line["aggregation"].is_string() && !line["metricValue"].is_null(),
            "{line}"
        );
        return;
    }
    assert!(
        line["name"].is_string() ^ line["schemaId"].is_string(),
        "{line}"
    );
    confidences_are_good(&line);
    if let (Some(bbox), Some("dr1")) = (line["bbox"].as_object(), line["dataRow"]["id"].as_str())
        && line.get("page").is_none()
        && line.get("unit").is_none()
    {
        let side = |key: &str| bbox[key].as_f64().expect("a number");
        assert!(
            side("left") + side("width") <= 100.011 && side("top") + side("height") <= 50.011,
            "{line}"
        );
    }
}

fn confidences_are_good(value: &Value) {
    match value {
        Value::Object(map) => {
            if let Some(confidence) = map.get("confidence") {
                let confidence = confidence.as_f64().expect("a number");
                assert!((0.0..=1.0).contains(&confidence), "{value}");
            }
            for key in ["answer", "classifications"] {
                map.get(key).into_iter().for_each(confidences_are_good);
            }
        }
        Value::Array(list) => list.iter().for_each(confidences_are_good),
        _ => {}
    }
}

#[test]
fn every_line_of_a_file_is_counted_once() {
    let (ontology, rows) = (ontology(), rows());
    let lines = proptest::collection::vec(any_line(), 0..40);
    let repeated = (lines, 1..4_usize).prop_map(|(lines, times)| vec![lines; times].concat());
    always(repeated, |lines| {
        let server = tempfile::tempdir().expect("a folder");
        let file = lines.join(&b'\n');
        let job = "019a0000-0000-7000-8000-000000000000"
            .parse()
            .expect("an id");
        let mut checker = Checker::new(&ontology, &rows);
        let draft = freeze(&*file, &mut checker, job, (server.path(), 50)).expect("frozen");
        let frozen = draft.keep().expect("kept");
        let written = file.split(|byte| *byte == b'\n');
        let written = written.filter(|line| !line.trim_ascii().is_empty()).count() as u64;
        assert_eq!(frozen.lines, written);
        assert_eq!(frozen.sent() + frozen.rejected, written);
        let mut uuids = std::collections::HashSet::new();
        for chunk in &frozen.chunks {
            let content = chunk.read(server.path()).expect("whole");
            for line in content.split(|byte| *byte == b'\n') {
                let line: Value = serde_json::from_slice(line).expect("JSON");
                if let Some(uuid) = line["uuid"].as_str() {
                    assert!(uuids.insert(uuid.to_owned()), "{uuid} is sent twice");
                }
            }
        }
    });
}
