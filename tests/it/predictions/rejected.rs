//! Lines that are not sent, and the sentences that say why.

use serde_json::{Value, json};

use super::check;

#[track_caller]
fn rejected(line: &str, wanted: &str) {
    match check(line) {
        Ok((_, sent)) => panic!("sent: {sent}"),
        Err(reason) => assert_eq!(reason, wanted, "{line}"),
    }
}

/// A line about the row `dr1`, with this.
#[track_caller]
fn wrong(mut line: Value, wanted: &str) {
    if let Some(line) = line.as_object_mut() {
        line.entry("data_row").or_insert(json!("dr1"));
    }
    rejected(&line.to_string(), wanted);
}

#[test]
fn what_is_no_line_is_not_sent() {
    rejected(
        "{\"name\": ",
        "not JSON: EOF while parsing a value at column 9",
    );
    rejected("hello", "not JSON: expected value at column 1");
    rejected("[1]", "invalid type: a list, expected an object");
    rejected(
        "{\"confidence\": NaN}",
        "not JSON: expected value at column 16: NaN is no number in JSON",
    );
    rejected("{\"score\": 1}", "unknown key \"score\"");
    rejected("{\"name\": \"a\", \"name\": \"b\"}", "name stands twice");
    rejected("{}", "no data row: give dataRow, data_row or global_key");
    let deep = format!("{{\"page\": {}{}}}", "[".repeat(500), "]".repeat(500));
    rejected(&deep, "page is nested too deeply");
}

#[test]
fn a_row_must_be_one_of_the_runs() {
    let text = json!({"name": "remark", "answer": "x"});
    let with = |key: &str, value: Value| {
        let mut line = text.clone();
        line[key] = value;
        line.to_string()
    };
    rejected(
        &with("data_row", json!("dr9")),
        "data row \"dr9\" is not in this model run",
    );
    // A row's id is no global key, and the other way round.
    rejected(
        &with("global_key", json!("dr1")),
        "data row \"dr1\" is not in this model run",
    );
    rejected(
        &with("dataRow", json!({"id": "gk1"})),
        "data row \"gk1\" is not in this model run",
    );
    let both = "dataRow: needs an id or a globalKey, not both";
    rejected(
        &with("dataRow", json!({"id": "dr1", "globalKey": "gk1"})),
        both,
    );
    rejected(&with("dataRow", json!({})), both);
    rejected(
        &with("dataRow", json!({"key": "dr1"})),
        "dataRow: unknown field `key`, expected `id` or `globalKey`",
    );
    rejected(
        &with("data_row", json!(7)),
        "data_row: invalid type: integer `7`, expected a string",
    );
    let twice = json!({"data_row": "dr1", "global_key": "gk1", "name": "remark", "answer": "x"});
    rejected(
        &twice.to_string(),
        "the data row is named twice: give one of dataRow, data_row, global_key",
    );
}

#[test]
fn a_feature_must_be_one_of_the_ontologys() {
    wrong(
        json!({"name": "cat", "answer": "x"}),
        "the ontology has no feature \"cat\"; there are: \"dog\", \"road\", \"lane\", \"nose\", \"person\", \"sky\", \
         \"new\", \"both\"…",
    );
    wrong(json!({"answer": "x"}), "needs a name or a schemaId");
    wrong(
        json!({"name": "remark", "schemaId": "id-remark", "answer": "x"}),
        "give name or schemaId, not both",
    );
    // A name is no schema id.
    assert!(check(r#"{"data_row":"dr1","schemaId":"remark","answer":"x"}"#).is_err());
    let long = "x".repeat(500);
    let reason =
        check(&json!({"data_row": "dr1", "name": long}).to_string()).expect_err("rejected");
    assert!(reason.len() < 250, "{reason}");
}

#[test]
fn an_answer_must_be_one_that_there_is() {
    wrong(
        json!({"name": "weather", "answer": "snow"}),
        "\"weather\" has no answer \"snow\"; there are: \"sunny\", \"very wet\"",
    );
    wrong(
        json!({"name": "weather", "answer": ["sunny"]}),
        "\"weather\" takes one answer by its name, or as {\"name\": …}, not a list",
    );
    wrong(
        json!({"name": "weather", "answer": 1}),
        "\"weather\" takes one answer by its name, or as {\"name\": …}",
    );
    wrong(
        json!({"name": "things", "answer": "tree"}),
        "\"things\" takes a list of answers",
    );
    wrong(
        json!({"name": "things", "answer": ["tree", {"schemaId": "id-tree"}]}),
        "the answer \"tree\" is given twice",
    );
    wrong(
        json!({"name": "remark", "answer": {"name": "x"}}),
        "\"remark\" is answered in words: answer must be a text",
    );
    wrong(
        json!({"name": "weather"}),
        "\"weather\" is a question: a prediction of it needs an answer",
    );
    wrong(
        json!({"name": "weather", "answer": {"confidence": 1}}),
        "answer: needs a name or a schemaId",
    );
    wrong(
        json!({"name": "weather", "answer": {"name": "sunny", "score": 1}}),
        "answer: unknown field `score`, expected one of `name`, `schemaId`, `confidence`, `customMetrics`, \
         `classifications`, `answer`, `answers`",
    );
    wrong(
        json!({"name": "weather", "answer": {"name": "sunny", "classifications": [{"name": "who", "answer": "x"}]}}),
        "the answer \"sunny\" has no question \"who\"; there are: \"why\"",
    );
    wrong(
        json!({"name": "weather", "answer": "sunny", "classifications": [{"name": "why", "answer": "x"}]}),
        "classifications: those of an answer stand within the answer",
    );
}

#[test]
fn a_tool_takes_its_own_shape() {
    let bbox = json!({"top": 0, "left": 0, "height": 1, "width": 1});
    wrong(
        json!({"name": "road", "bbox": bbox}),
        "\"road\" is a polygon tool and takes polygon, not bbox",
    );
    wrong(
        json!({"name": "dog"}),
        "\"dog\" is a rectangle tool and takes bbox, but there is none",
    );
    wrong(
        json!({"name": "dog", "answer": "x"}),
        "\"dog\" is a rectangle tool and takes no answer",
    );
    wrong(
        json!({"name": "dog", "bbox": bbox, "polygon": []}),
        "has both bbox and polygon",
    );
    wrong(
        json!({"name": "weather", "bbox": bbox}),
        "\"weather\" is a question and takes an answer, not bbox",
    );
    wrong(
        json!({"name": "dog", "bbox": bbox, "classifications": [{"name": "size", "answer": "x"}]}),
        "\"dog\" has no question \"size\"; there are: \"colour\", \"why\"",
    );
    wrong(
        json!({"name": "dog", "bbox": {"top": 0, "left": 0, "height": 1}}),
        "bbox: missing field `width`",
    );
    wrong(
        json!({"name": "road", "polygon": [{"x": 0, "y": 0}, {"x": 1, "y": 0}]}),
        "polygon: needs 3 points or more",
    );
    wrong(
        json!({"name": "person", "location": {"start": 4, "end": 3}}),
        "location: end comes before start; it is the last character that belongs to the entity",
    );
    wrong(
        json!({"name": "person", "location": {"start": -1, "end": 3}}),
        "location: invalid value: integer `-1`, expected a whole number from 0",
    );
    wrong(
        json!({"name": "sky", "mask": {"colorRGB": [1, 1, 1]}}),
        "mask: needs instanceURI or png",
    );
    wrong(
        json!({"name": "dog", "bbox": 7}),
        "bbox: invalid type: integer `7`, expected an object",
    );
}

#[test]
fn numbers_in_a_list_are_no_shape() {
    let not = "not numbers in a list";
    wrong(
        json!({"name": "dog", "bbox": [1, 2, 3, 4]}),
        &format!("bbox: needs an object with top, left, height and width, {not}"),
    );
    wrong(
        json!({"name": "road", "polygon": [[0, 0], [1, 0], [1, 1]]}),
        &format!("polygon: needs a list of objects with x and y, {not}"),
    );
    wrong(
        json!({"name": "road", "polygon": [{"x": 0, "y": 0}, {"x": 1, "y": 0}, [1, 1]]}),
        &format!("polygon: needs a list of objects with x and y, {not}"),
    );
    wrong(
        json!({"name": "person", "location": [0, 3]}),
        &format!("location: needs an object with start and end, {not}"),
    );
    wrong(
        json!({"name": "sky", "mask": ["https://storage.example.com/[1].png"]}),
        &format!("mask: needs an object with instanceURI or png, {not}"),
    );
}

#[test]
fn a_shape_must_lie_within_its_image() {
    let outside = "the box is not within its image of 100 × 50 pixels";
    for (top, left, height, width) in [
        (-1.0, 0.0, 10.0, 10.0),
        (0.0, -1.0, 10.0, 10.0),
        (41.0, 0.0, 10.0, 10.0),
        (0.0, 91.0, 10.0, 10.0),
        (0.0, 0.0, 1e300, 1e308),
    ] {
        let bbox = json!({"top": top, "left": left, "height": height, "width": width});
        wrong(json!({"name": "dog", "bbox": bbox}), outside);
    }
    let flat = json!({"top": 0, "left": 0, "height": 0, "width": 1});
    wrong(
        json!({"name": "dog", "bbox": flat}),
        "bbox: width and height must be above 0",
    );
    let point = "a point is not within its image of 100 × 50 pixels";
    wrong(json!({"name": "nose", "point": {"x": 101, "y": 0}}), point);
    wrong(
        json!({"name": "lane", "line": [{"x": 0, "y": 0}, {"x": 0, "y": 51}]}),
        point,
    );
    wrong(
        json!({"name": "road", "polygon": [{"x": 0, "y": 0}, {"x": -5, "y": 1}, {"x": 0, "y": 1}]}),
        point,
    );
}

#[test]
fn a_confidence_is_a_number_from_0_to_1() {
    let bbox = json!({"top": 0, "left": 0, "height": 1, "width": 1});
    for (confidence, reason) in [
        (json!(1.5), "confidence must be from 0 to 1, not 1.5"),
        (json!(-0.1), "confidence must be from 0 to 1, not -0.1"),
        (
            json!("high"),
            "confidence: invalid type: string \"high\", expected a number",
        ),
    ] {
        wrong(
            json!({"name": "dog", "bbox": bbox, "confidence": confidence}),
            reason,
        );
        wrong(
            json!({"name": "weather", "answer": "sunny", "confidence": confidence}),
            reason,
        );
        wrong(
            json!({"name": "weather", "answer": {"name": "sunny", "confidence": confidence}}),
            reason,
        );
    }
    wrong(
        json!({"name": "dog", "bbox": bbox, "uuid": "7"}),
        "uuid: \"7\" is no UUID",
    );
    wrong(
        json!({"name": "dog", "bbox": bbox, "customMetrics": [{"name": "iou"}]}),
        "customMetrics: missing field `value`",
    );
}

#[test]
fn a_metric_keeps_labelboxs_rules() {
    let metric = |value: Value| json!({"metricName": "own", "metricValue": value});
    let with = |key: &str, value: Value| {
        let mut line = metric(json!(0.5));
        line[key] = value;
        line
    };
    wrong(
        with("metricName", json!(" IoU ")),
        "metricName  IoU  is reserved: Labelbox computes it",
    );
    wrong(
        with("metricName", json!(" ")),
        "a metric row needs a metricName",
    );
    wrong(
        json!({"metricName": "own"}),
        "a metric row needs a metricValue",
    );
    wrong(
        with("confidence", json!(1)),
        "a metric row has no confidence",
    );
    wrong(
        with("featureName", json!("cat")),
        "featureName: the ontology has no feature \"cat\"",
    );
    wrong(
        with("aggregation", json!("CONFUSION_MATRIX")),
        "aggregation: must be ARITHMETIC_MEAN, GEOMETRIC_MEAN, HARMONIC_MEAN, SUM for one number, not \
         \"CONFUSION_MATRIX\"",
    );
    let mut matrix = metric(json!([1, 2, 3, 4]));
    matrix["aggregation"] = json!("SUM");
    wrong(
        matrix,
        "aggregation: four counts are a CONFUSION_MATRIX, not \"SUM\"",
    );
    wrong(
        json!({"name": "remark", "answer": "x", "aggregation": "SUM"}),
        "aggregation belongs to a metric row, with a metricName",
    );
    for (value, reason) in [
        (json!(-1), "must be from 0 to 100000000, not -1"),
        (json!(1e9), "must be from 0 to 100000000, not 1000000000"),
        (
            json!("x"),
            "invalid type: string \"x\", expected a number, four counts, or either of them by confidence",
        ),
        (
            json!([1, 2, 3]),
            "a confusion matrix has four counts: true and false positives, true and false negatives",
        ),
        (
            json!([1, 2, 3, 4.5]),
            "counts must be whole numbers from 0 to 10000000000, not 4.5",
        ),
        (json!({"0.5": 1}), "must hold 2 to 15 confidences, not 1"),
        (
            json!({"0.5": 1, "1.5": 1}),
            "\"1.5\" is no confidence from 0 to 1",
        ),
        (
            json!({"0.5": 1, "0.50": 1}),
            "the confidence 0.50 stands twice",
        ),
        (
            json!({"0.5": 1, "0.6": [1, 1, 1, 1]}),
            "holds both numbers and counts",
        ),
        (
            json!({"0.5": 1, "0.6": {"0.1": 1, "0.2": 1}}),
            "a value by confidence holds another one",
        ),
    ] {
        wrong(metric(value), &format!("metricValue: {reason}"));
    }
    let many: serde_json::Map<String, Value> =
        (0..16).map(|n| (format!("0.{n:02}"), json!(1))).collect();
    wrong(
        metric(Value::Object(many)),
        "metricValue: must hold 2 to 15 confidences, not 16",
    );
}
