//! Lines that are sent.

use serde_json::{Value, json};

use super::check;

const UUID: &str = "a71d65ca-102e-43b2-a083-6d9bfbf12d06";

/// How a line is sent.
#[track_caller]
fn sent(line: Value) -> Value {
    match check(&line.to_string()) {
        Ok((_, sent)) => sent,
        Err(reason) => panic!("{line}: {reason}"),
    }
}

/// Lines as the SDK's own converter makes them.
fn of_the_sdk() -> Vec<(String, Value)> {
    let text = include_str!("../../fixtures/labelbox/ndjson_rows.json");
    let kinds: serde_json::Map<String, Value> = serde_json::from_str(text).expect("JSON");
    let kinds = kinds.into_iter();
    kinds
        .filter_map(|(kind, lines)| Some((kind, lines.get(0)?.clone())))
        .collect()
}

#[test]
fn what_the_sdk_would_send_is_sent_as_it_is() {
    let (mut seen, features) = (
        0,
        [
            ("dog", "dog"),
            ("p", "road"),
            ("q", "weather"),
            ("a1", "sunny"),
        ],
    );
    for (kind, line) in of_the_sdk() {
        // The captured lines speak of another ontology.
        let mut text = line.to_string();
        let question = match kind.as_str() {
            "checklist" => "things",
            "text" => "remark",
            _ => "weather",
        };
        for (theirs, ours) in features {
            let ours = if theirs == "q" { question } else { ours };
            text = text.replace(
                &format!("\"name\":\"{theirs}\""),
                &format!("\"name\":\"{ours}\""),
            );
        }
        text = text
            .replace(
                "\"schemaId\":\"ccccccccccccccccccccccccc\"",
                "\"schemaId\":\"id-dog\"",
            )
            .replace("\"featureName\":\"cat\"", "\"featureName\":\"dog\"");
        if kind == "checklist" {
            text = text
                .replace("\"sunny\"", "\"tree\"")
                .replace("\"a2\"", "\"house\"");
        }
        let mut line: Value = serde_json::from_str(&text).expect("JSON");
        let sent = sent(line.clone());
        if let Some(line) = line.as_object_mut() {
            line.remove("uuid");
        }
        assert_eq!(sent, line, "{kind}");
        seen += 1;
    }
    assert!(seen >= 14, "{seen}");
}

#[test]
fn easier_words_mean_the_same() {
    for (easier, labelbox) in [
        (
            json!({"data_row": "dr1", "name": "weather", "answer": "sunny", "confidence": 0.5}),
            json!({"dataRow": {"id": "dr1"}, "name": "weather", "answer": {"name": "sunny", "confidence": 0.5}}),
        ),
        (
            json!({"global_key": "gk2", "name": "things", "answer": ["tree", {"name": "house", "confidence": 1}],
                   "confidence": 0.25}),
            json!({"dataRow": {"globalKey": "gk2"}, "name": "things",
                   "answer": [{"name": "tree", "confidence": 0.25}, {"name": "house", "confidence": 1}]}),
        ),
        (
            json!({"data_row": "gk1", "name": "remark", "answer": "a \"quoted\"\nline", "confidence": 0}),
            json!({"dataRow": {"globalKey": "gk1"}, "name": "remark", "answer": "a \"quoted\"\nline", "confidence": 0}),
        ),
        (
            json!({"data_row": "dr3", "name": "id-weather", "answer": "id-very wet"}),
            json!({"dataRow": {"id": "dr3"}, "schemaId": "id-weather", "answer": {"schemaId": "id-very wet"}}),
        ),
        (
            json!({"data_row": "dr3", "name": "weather", "answer": "very_wet", "uuid": null}),
            json!({"dataRow": {"id": "dr3"}, "name": "weather", "answer": {"name": "very wet"}}),
        ),
        (
            json!({"data_row": "dr3", "name": "things", "answers": []}),
            json!({"dataRow": {"id": "dr3"}, "name": "things", "answer": []}),
        ),
        (
            json!({"data_row": "dr1", "name": "road", "polygon": [{"x": 0, "y": 0}, {"x": 100, "y": 0}, {"x": 1, "y": 50}]}),
            json!({"dataRow": {"id": "dr1"}, "name": "road", "classifications": [],
                   "polygon": [{"x": 0, "y": 0}, {"x": 100, "y": 0}, {"x": 1, "y": 50}, {"x": 0.0, "y": 0.0}]}),
        ),
        (
            json!({"data_row": "dr1", "metricName": "error", "metricValue": 3}),
            json!({"dataRow": {"id": "dr1"}, "metricName": "error", "metricValue": 3, "aggregation": "ARITHMETIC_MEAN"}),
        ),
        (
            json!({"data_row": "dr1", "metricName": "iou", "metricValue": [1, 0, 2, 0]}),
            json!({"dataRow": {"id": "dr1"}, "metricName": "iou", "metricValue": [1, 0, 2, 0],
                   "aggregation": "CONFUSION_MATRIX"}),
        ),
    ] {
        assert_eq!(sent(easier), labelbox);
    }
}

#[test]
fn a_metric_may_be_of_a_feature_a_question_about_it_or_an_answer() {
    for name in [
        "dog",
        "weather",
        "colour",
        "why",
        "light blue",
        "id-sunny",
        "tree",
    ] {
        let line = json!({"data_row": "dr1", "metricName": "classification", "featureName": name,
                          "metricValue": [1, 0, 0, 0]});
        assert_eq!(sent(line)["featureName"], name);
    }
}

#[test]
fn questions_below_objects_and_answers_are_answered_in_the_same_words() {
    let object = json!({
        "dataRow": {"id": "dr1"}, "name": "dog", "bbox": {"top": 0, "left": 0, "height": 1, "width": 1},
        "classifications": [{"name": "colour", "answer": "light_blue", "confidence": 0.5}, {"name": "why", "answer": "so"}],
    });
    let below = json!([
        {"name": "colour", "answer": {"name": "light blue", "confidence": 0.5}},
        {"name": "why", "answer": "so"},
    ]);
    assert_eq!(sent(object)["classifications"], below);
    let answer =
        json!({"name": "sunny", "classifications": [{"schemaId": "id-why", "answer": "no cloud"}]});
    let line = json!({"data_row": "dr1", "name": "weather", "answer": answer});
    assert_eq!(sent(line)["answer"], answer);
}

#[test]
fn shapes_of_every_tool_are_sent() {
    for (name, key, shape) in [
        (
            "dog",
            "bbox",
            json!({"top": 0, "left": 0, "height": 50, "width": 100.000_1}),
        ),
        (
            "lane",
            "line",
            json!([{"x": 0, "y": 0}, {"x": 100, "y": 50}]),
        ),
        ("nose", "point", json!({"x": 100, "y": 50})),
        ("person", "location", json!({"start": 3, "end": 3})),
        (
            "person",
            "textSelections",
            json!([{"groupId": "g", "tokenIds": ["t"], "page": 1}]),
        ),
        (
            "sky",
            "mask",
            json!({"instanceURI": "https://x/y.png", "colorRGB": [255, 255, 255]}),
        ),
        ("sky", "mask", json!({"png": "aGVsbG8="})),
        ("dog", "segments", json!([{"keyframes": []}])),
        // Whatever Labelbox may invent.
        (
            "new",
            "bbox",
            json!({"top": 0, "left": 0, "height": 1, "width": 1}),
        ),
    ] {
        let line =
            json!({"dataRow": {"id": "dr1"}, "name": name, "classifications": [], key: shape});
        assert_eq!(sent(line.clone()), line);
    }
    let anywhere = json!({"top": 900, "left": 900, "height": 1, "width": 1});
    for row in [
        json!({"data_row": "dr2"}),
        json!({"data_row": "dr1", "page": 0, "unit": "POINTS"}),
    ] {
        let mut line = row;
        line["name"] = json!("dog");
        line["bbox"] = anywhere.clone();
        assert_eq!(sent(line)["bbox"], anywhere, "its size is not known");
    }
    let mood = json!({"dataRow": {"id": "dr1"}, "name": "mood", "answer": {"value": 3}});
    assert_eq!(sent(mood.clone()), mood);
}

#[test]
fn a_name_of_two_features_means_the_one_that_fits() {
    let question = json!({"data_row": "dr1", "name": "both", "answer": "x"});
    let tool = json!({"data_row": "dr1", "name": "both", "bbox": {"top": 0, "left": 0, "height": 1, "width": 1}});
    let number = |line: Value| check(&line.to_string()).expect("sent").0.feature;
    assert_ne!(number(question), number(tool));
}

#[test]
fn a_line_brings_its_uuid_along_or_not() {
    let line =
        |uuid: Value| json!({"uuid": uuid, "data_row": "dr1", "name": "remark", "answer": "x"});
    let uuid = |value: Value| check(&line(value).to_string()).expect("sent").0.uuid;
    assert_eq!(uuid(json!(UUID.to_uppercase())), UUID.parse().ok());
    assert_eq!(uuid(Value::Null), None);
}
