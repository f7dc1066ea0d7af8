//! The data of a run, asked for as the SDK asks, and its predictions, sent as the SDK sends them.

use serde_json::{Value, json};
use trainhook::{
    config::Parts,
    dataset::Split,
    labelbox::{ExportSize, ImportPhase, LineStatus, TaskState},
};

use super::{Fixture, capture, model_run_id, reply};
use crate::support::scripted::{Recorded, Reply};

/// A query without what GraphQL does not look at: white space and commas.
fn tokens(query: &str) -> Vec<String> {
    let mut tokens = vec![String::new()];
    for c in query.chars() {
        let is_word = c.is_alphanumeric() || c == '_';
        if !is_word {
            tokens.push(String::new());
        }
        if is_word || !(c.is_whitespace() || c == ',') {
            tokens.last_mut().expect("there is one").push(c);
        }
        if !is_word {
            tokens.push(String::new());
        }
    }
    tokens.retain(|token| !token.is_empty());
    tokens
}

fn tokens_of(query: &Value) -> Vec<String> {
    tokens(query.as_str().expect("a query is text"))
}

#[track_caller]
fn assert_asked_as(sent: &Recorded, captured: &Value) {
    assert_eq!(captured["path"], sent.path.as_str());
    let (sent, captured) = (sent.json(), &captured["json"]);
    assert_eq!(tokens_of(&sent["query"]), tokens_of(&captured["query"]));
    assert_eq!(sent["variables"], captured["variables"]);
}

/// Plays one call of a capture.
async fn replaying(captured: &Value) -> Fixture {
    Fixture::new([reply(&captured["reply"])]).await
}

#[tokio::test]
async fn an_export_is_begun_as_the_sdk_begins_it() {
    let captured = &capture("export_FAILED")["requests"][0];
    let fixture = replaying(captured).await;
    let (run, parts) = (model_run_id(), Parts::default());
    let begun = fixture.labelbox.create_export(&run, "x", parts).await;
    assert_eq!(begun.as_deref(), Ok("t1"));
    assert_asked_as(&fixture.only_request(), captured);
}

#[tokio::test]
async fn each_part_of_an_export_has_its_flag() {
    let flag = |parts: Parts| async move {
        let created =
            json!({"data":{"exportDataRowsInModelRun":{"taskId":"t","isStreamable":true}}});
        let fixture = Fixture::new([Reply::new(200, created)]).await;
        let run = model_run_id();
        let begun = fixture.labelbox.create_export(&run, "x", parts).await;
        begun.expect("begun");
        let sent = fixture.only_request().json();
        let params = sent["variables"]["input"]["params"].as_object().cloned();
        let params = params.expect("params").into_iter();
        let set: Vec<String> = params
            .filter(|(_, on)| on == true)
            .map(|(name, _)| name)
            .collect();
        set
    };
    let none = Parts::default();
    let wanted = [
        (
            Parts {
                attachments: true,
                ..none
            },
            "includeAttachments",
        ),
        (
            Parts {
                metadata: true,
                ..none
            },
            "includeMetadata",
        ),
        (
            Parts {
                embeddings: true,
                ..none
            },
            "includeEmbeddings",
        ),
        (
            Parts {
                predictions: true,
                ..none
            },
            "includePredictions",
        ),
    ];
    for (parts, name) in wanted {
        assert_eq!(flag(parts).await, [name]);
    }
}

#[tokio::test]
async fn a_task_is_followed_as_the_sdk_follows_it() {
    let captured = capture("export_streamable");
    let calls = &captured["requests"];
    let fixture = replaying(&calls[1]).await;
    let user = fixture.labelbox.user_id().await.expect("a user");
    assert_asked_as(&fixture.only_request(), &calls[1]);
    let mut seen = Vec::new();
    for call in [&calls[2], &calls[3]] {
        let fixture = replaying(call).await;
        let task = fixture
            .labelbox
            .export_task(&user, "cl0taskxxxxxxxxxxxxxxxxxx")
            .await;
        let task = task.expect("an answer").expect("a task");
        seen.push((task.state, task.percent));
        assert_asked_as(&fixture.only_request(), call);
    }
    assert_eq!(
        seen,
        [
            (TaskState::InProgress, Some(10.0)),
            (TaskState::Complete, Some(100.0))
        ]
    );
}

#[tokio::test]
async fn a_task_that_failed_or_is_not_there_is_told_apart() {
    let captured = &capture("export_FAILED")["requests"][2];
    let fixture = replaying(captured).await;
    let task = fixture
        .labelbox
        .export_task("u1", "t1")
        .await
        .expect("an answer");
    assert_eq!(task.expect("a task").state, TaskState::Failed);
    let fixture = replaying(captured).await;
    let other = fixture
        .labelbox
        .export_task("u1", "t2")
        .await
        .expect("an answer");
    assert_eq!(other, None);
}

#[tokio::test]
async fn a_result_is_asked_for_by_offset() {
    let captured = capture("export_streamable");
    let (task, calls) = ("cl0taskxxxxxxxxxxxxxxxxxx", &captured["requests"]);
    let fixture = replaying(&calls[5]).await;
    let size = fixture.labelbox.export_size(task).await.expect("an answer");
    assert_eq!(
        size,
        Some(ExportSize {
            bytes: 582,
            lines: 2
        })
    );
    assert_asked_as(&fixture.only_request(), &calls[5]);
    for (call, offset, end) in [(&calls[6], 0, 542), (&calls[8], 542, 582)] {
        let fixture = replaying(call).await;
        let file = fixture
            .labelbox
            .export_file(task, offset)
            .await
            .expect("a file");
        assert_eq!((file.start, file.end), (offset, end));
        assert!(file.url.starts_with("http://"), "{}", file.url);
        assert_asked_as(&fixture.only_request(), call);
    }
}

#[tokio::test]
async fn a_run_without_rows_has_no_result() {
    let captured = capture("export_EMPTY");
    let mut heads = captured["requests"].as_array().expect("calls").iter();
    let result = |call: &&Value| call["json"]["variables"]["streamType"] == "RESULT";
    let call = heads.rfind(result).expect("asked for the result");
    let fixture = replaying(call).await;
    assert_eq!(fixture.labelbox.export_size("t").await, Ok(None));
}

#[tokio::test]
async fn numbers_may_come_as_texts_and_a_file_of_other_bytes_is_refused() {
    let file = |start: Value, end: Value| {
        let offsets = json!({ "start": start, "end": end });
        let file = json!({ "offsets": offsets, "lines": null, "file": "http://x/" });
        Reply::new(
            200,
            json!({ "data": { "task": { "exportFileFromOffset": file } } }),
        )
    };
    let fixture = Fixture::new([file(json!("10"), json!("19"))]).await;
    let found = fixture.labelbox.export_file("t", 12).await.expect("a file");
    assert_eq!((found.start, found.end), (10, 20));
    for (start, end) in [(13, 19), (0, 11), (19, 10)] {
        let fixture = Fixture::new([file(json!(start), json!(end))]).await;
        let refused = fixture.labelbox.export_file("t", 12).await;
        assert!(refused.is_err_and(|error| error.message.contains("other bytes")));
    }
}

#[tokio::test]
async fn splits_are_asked_for_with_the_sdks_arguments() {
    let captured = &capture("model_run_data_rows")["requests"][0];
    let fixture = replaying(captured).await;
    let page = fixture
        .labelbox
        .data_splits(&model_run_id(), None)
        .await
        .expect("a page");
    assert_eq!((page.rows.len(), page.next), (0, None));
    let sent = fixture.only_request().json();
    assert_eq!(sent["variables"], captured["json"]["variables"]);
    // The SDK asks for more of each row; what it asks of, and from where, is the same.
    let head = |query: &Value| {
        let tokens = tokens_of(query);
        let end = tokens.iter().position(|token| token == "dataSplit");
        tokens[..end.expect("splits are asked for")].to_vec()
    };
    assert_eq!(head(&sent["query"]), head(&captured["json"]["query"]));
}

#[tokio::test]
async fn pages_follow_each_other_until_one_is_empty_or_the_last() {
    let page = |nodes: Value, cursor: Value| {
        let groups = json!({ "nodes": nodes, "pageInfo": { "endCursor": cursor } });
        Reply::new(200, json!({ "data": { "annotationGroups": groups } }))
    };
    let node = |id: &str, split: Value| json!({ "dataSplit": split, "dataRow": { "id": id } });
    let nodes = json!([
        node("a", json!("TRAINING")),
        node("b", json!("TEST")),
        node("c", json!("VALIDATION")),
        node("d", json!("UNASSIGNED")),
        node("e", Value::Null),
        node("f", json!("OTHER")),
    ]);
    let replies = [page(nodes, json!("next")), page(json!([]), json!("again"))];
    let fixture = Fixture::new(replies).await;
    let first = fixture
        .labelbox
        .data_splits(&model_run_id(), None)
        .await
        .expect("a page");
    let splits: Vec<Split> = first.rows.iter().map(|(_, split)| *split).collect();
    use Split::{Test, Training, Unassigned, Validation};
    assert_eq!(
        splits,
        [
            Training, Test, Validation, Unassigned, Unassigned, Unassigned
        ]
    );
    assert_eq!(first.next.as_deref(), Some("next"));
    let last = fixture
        .labelbox
        .data_splits(&model_run_id(), Some("next"))
        .await;
    assert_eq!(last.expect("a page").next, None);
}

#[tokio::test]
async fn an_ontology_is_found_by_way_of_its_model() {
    let (model, ontology) = (capture("model_ontology_query"), capture("get_ontology"));
    let (model, ontology) = (&model["requests"][0], &ontology["requests"][0]);
    let fixture = Fixture::new([reply(&model["reply"]), reply(&ontology["reply"])]).await;
    let found = fixture.labelbox.ontology_of_model("m1").await;
    let found = found.expect("an answer").expect("an ontology");
    assert_eq!(
        found.tool("dog").map(|tool| tool.kind.as_str()),
        Some("rectangle")
    );
    assert_eq!(found.tool("f1"), found.tool("dog"));
    let question = found.classification("q").expect("a question");
    assert_eq!(
        question
            .option("a1")
            .map(|option| option.schema_id.as_str()),
        Some("f3")
    );
    let sent = fixture.requests();
    assert_asked_as(&sent[0], model);
    let query = |body: &Value| tokens_of(&body["query"]);
    assert_eq!(query(&sent[1].json()), query(&ontology["json"]));
    assert_eq!(
        sent[1].json()["variables"],
        json!({ "param_0": "cl0ontologyxxxxxxxxxxxxxx" })
    );
}

#[tokio::test]
async fn predictions_are_sent_as_the_sdk_sends_them() {
    let captured = &capture("add_predictions_FAILED")["requests"][0];
    let parts = captured["multipart"].as_array().expect("parts");
    let lines = parts[2]["body"]
        .as_str()
        .expect("lines")
        .as_bytes()
        .to_vec();
    let length = lines.len();
    let fixture = replaying(captured).await;
    let run = model_run_id();
    let import = fixture
        .labelbox
        .create_import(&run, "diagnostics-import-5", lines);
    assert_eq!(import.await.expect("an import").state, ImportPhase::Failed);
    let sent = fixture.only_request();
    assert_eq!(captured["path"], sent.path.as_str());
    let body = String::from_utf8(sent.body.clone()).expect("text");
    assert_eq!(
        sent.header("content-length"),
        Some(&*body.len().to_string())
    );
    let boundary = sent
        .header("content-type")
        .and_then(|kind| kind.strip_prefix("multipart/form-data; boundary="));
    let boundary = format!("--{}", boundary.expect("a form"));
    let sent_parts: Vec<&str> = body.split(&*boundary).collect();
    // Nothing before the first part, and the end after the last.
    assert_eq!(sent_parts.len(), parts.len() + 2, "{body}");
    for (sent, captured) in sent_parts[1..].iter().zip(parts) {
        let (head, content) = sent
            .trim_start()
            .split_once("\r\n\r\n")
            .expect("head and content");
        let content = content.strip_suffix("\r\n").expect("an end");
        let wanted: Vec<String> = captured["headers"]
            .as_array()
            .expect("headers")
            .iter()
            .map(|header| {
                format!(
                    "{}: {}",
                    header[0].as_str().expect("a name"),
                    header[1].as_str().expect("a value")
                )
            })
            .collect();
        assert_eq!(head.to_lowercase(), wanted.join("\r\n").to_lowercase());
        let captured = captured["body"].as_str().expect("text");
        match serde_json::from_str::<Value>(captured) {
            Ok(mut wanted) if head.contains("operations") => {
                let sent: Value = serde_json::from_str(content).expect("JSON");
                assert_eq!(tokens_of(&sent["query"]), tokens_of(&wanted["query"]));
                // The SDK counts more bytes than it sends.
                wanted["variables"]["contentLength"] = length.into();
                assert_eq!(sent["variables"], wanted["variables"]);
            }
            Ok(wanted) => assert_eq!(
                serde_json::from_str::<Value>(content).expect("JSON"),
                wanted
            ),
            Err(_) => assert_eq!(content, captured),
        }
    }
}

#[tokio::test]
async fn an_import_is_looked_up_by_run_and_name() {
    let captured = &capture("add_predictions_objects")["requests"][1];
    let fixture = replaying(captured).await;
    let found = fixture
        .labelbox
        .import(&model_run_id(), "diagnostics-import-1")
        .await;
    let import = found.expect("an answer").expect("an import");
    assert_eq!(
        (import.state, import.progress.as_deref()),
        (ImportPhase::Finished, Some("100%"))
    );
    assert!(
        import
            .status_file_url
            .expect("a file")
            .ends_with("/files/status.ndjson")
    );
    assert_asked_as(&fixture.only_request(), captured);
    let unknown = capture("err_RESOURCE_NOT_FOUND");
    let fixture = Fixture::replaying(&unknown).await;
    assert_eq!(
        fixture.labelbox.import(&model_run_id(), "x").await,
        Ok(None)
    );
}

#[tokio::test]
async fn an_import_whose_state_nobody_knows_has_not_ended() {
    for (word, state) in [
        ("RUNNING", ImportPhase::Running),
        ("QUEUED", ImportPhase::Running),
        ("FINISHED", ImportPhase::Finished),
        ("FAILED", ImportPhase::Failed),
    ] {
        let import = json!({ "modelErrorAnalysisPredictionImport": { "state": word } });
        let fixture = Fixture::new([Reply::new(200, json!({ "data": import }))]).await;
        let found = fixture.labelbox.import(&model_run_id(), "x").await;
        assert_eq!(
            found.expect("an answer").expect("an import").state,
            state,
            "{word}"
        );
    }
}

#[test]
fn a_line_of_a_status_file_says_what_became_of_a_prediction() {
    let taken =
        LineStatus::read(br#"{"uuid":"u1","dataRow":{"id":"d"},"status":"SUCCESS","errors":[]}"#);
    let taken = taken.expect("a line");
    assert!(taken.taken && taken.uuid.as_deref() == Some("u1"));
    let refused = LineStatus::read(
        br#"{"uuid":"u2","dataRow":{"id":"d"},"status":"FAILURE","errors":[{"name":"Bad","message":"no such feature"}]}"#,
    );
    let refused = refused.expect("a line");
    assert_eq!(
        (refused.taken, refused.reason.as_str()),
        (false, "no such feature")
    );
    assert!(LineStatus::read(b"{}").is_err());
}
