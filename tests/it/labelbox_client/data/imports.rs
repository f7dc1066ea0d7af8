//! Imports of predictions.

use serde_json::{Value, json};
use trainhook::labelbox::{ImportPhase, LineStatus};

use super::{
    super::{Fixture, capture, model_run_id},
    assert_asked_as, replaying, tokens_of,
};
use crate::support::scripted::Reply;

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
