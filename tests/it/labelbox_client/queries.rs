//! What is sent, field by field, and what is made of good answers.

use serde_json::{Value, json};
use trainhook::{
    job::{PipelineStatus, Report},
    labelbox::{Kind, Pipeline},
};

use super::{Fixture, KEY, MODEL_RUN_ID, capture, model_run_id, report};
use crate::support::scripted::{Recorded, Reply};

fn fold(query: &Value) -> String {
    let query = query.as_str().expect("a query is text");
    query.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn captured_header<'a>(captured: &'a Value, name: &str) -> Option<&'a str> {
    let headers = captured["headers"].as_array().expect("headers");
    let header = headers.iter().find(|header| header[0] == name)?;
    header[1].as_str()
}

#[track_caller]
fn assert_same_request(sent: &Recorded, captured: &Value) {
    assert_eq!(captured["method"], sent.method.as_str());
    assert_eq!(captured["path"], sent.path.as_str());
    for name in ["Authorization", "Accept", "Content-Type"] {
        assert_eq!(sent.header(name), captured_header(captured, name), "{name}");
    }
    assert_eq!(
        sent.header("X-User-Agent"),
        Some(concat!("trainhook/", env!("CARGO_PKG_VERSION")))
    );
    let body = sent.json();
    let keys: Vec<&str> = body
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(keys, ["query", "variables"]);
    assert_eq!(fold(&body["query"]), fold(&captured["json"]["query"]));
    assert_eq!(body["variables"], captured["json"]["variables"]);
}

async fn assert_update_like(name: &str, report: Report) {
    let capture = capture(name);
    let fixture = Fixture::replaying(&capture).await;
    let told = fixture
        .labelbox
        .update_status(&model_run_id(), &report)
        .await;
    assert_eq!(told, Ok(()));
    assert_same_request(&fixture.only_request(), &capture["requests"][0]);
}

macro_rules! updates {
    ($($test:ident: $capture:literal => $report:expr;)+) => {
        $(#[tokio::test]
        async fn $test() {
            assert_update_like($capture, $report).await;
        })+
    };
}

updates! {
    exporting_is_told_as_the_sdk_tells_it:
        "update_status_EXPORTING_DATA" => report(PipelineStatus::ExportingData);
    preparing_is_told_as_the_sdk_tells_it:
        "update_status_PREPARING_DATA" => report(PipelineStatus::PreparingData);
    training_is_told_as_the_sdk_tells_it:
        "update_status_TRAINING_MODEL" => report(PipelineStatus::TrainingModel);
    completion_is_told_as_the_sdk_tells_it:
        "update_status_COMPLETE" => report(PipelineStatus::Complete);
    metadata_is_told_as_the_sdk_tells_it:
        "update_status_metadata" => Report {
            metadata: [("training_data_input".to_owned(), "gs://b/k.jsonl".to_owned())].into(),
            ..report(PipelineStatus::TrainingModel)
        };
    a_failure_is_told_as_the_sdk_tells_it:
        "update_status_FAILED_error" => Report {
            error_message: Some("Dataset é \"bad\"\nline two".to_owned()),
            ..report(PipelineStatus::Failed)
        };
    message_and_metadata_are_told_together_as_the_sdk_tells_them:
        "update_status_all" => Report {
            error_message: Some("x".repeat(300)),
            metadata: [("k".to_owned(), "v".to_owned())].into(),
            ..report(PipelineStatus::Failed)
        };
    what_is_empty_is_left_out:
        "update_status_empty_values" => Report {
            error_message: Some(String::new()),
            ..report(PipelineStatus::Complete)
        };
}

#[tokio::test]
async fn an_empty_metadata_value_is_sent_to_blank_an_old_one() {
    let answer = json!({"data": {"updateTrainingPipeline": {"status": "EXPORTING_DATA"}}});
    let fixture = Fixture::new([Reply::new(200, answer)]).await;
    let report = Report {
        metadata: [("loss".to_owned(), String::new())].into(),
        ..report(PipelineStatus::ExportingData)
    };
    let told = fixture
        .labelbox
        .update_status(&model_run_id(), &report)
        .await;
    assert_eq!(told, Ok(()));
    let data = &fixture.only_request().json()["variables"]["data"];
    assert_eq!(data["metadata"], json!({"loss": ""}));
}

#[tokio::test]
async fn another_status_than_the_one_sent_is_no_success() {
    let answers = [
        json!({"data": {"updateTrainingPipeline": {"status": "FAILED"}}}),
        json!({"data": {"updateTrainingPipeline": null}}),
        json!({"data": {}}),
        json!({"data": null}),
        json!([]),
        json!({}),
    ];
    let fixture = Fixture::new(answers.map(|answer| Reply::new(200, answer))).await;
    for _ in 0..6 {
        let told = fixture
            .labelbox
            .update_status(&model_run_id(), &report(PipelineStatus::Complete))
            .await;
        let error = told.expect_err("not confirmed");
        assert_eq!((error.kind, error.ambiguous), (Kind::Unexpected, true));
    }
    assert_eq!(fixture.server.finish().len(), 6);
}

#[tokio::test]
async fn a_run_never_reported_has_an_empty_pipeline() {
    let capture = capture("training_pipeline_query");
    let fixture = Fixture::replaying(&capture).await;
    let pipeline = fixture.labelbox.read_pipeline(&model_run_id()).await;
    assert_eq!(pipeline, Ok(Pipeline::default()));
    assert_same_request(&fixture.only_request(), &capture["requests"][0]);
}

#[tokio::test]
async fn metadata_that_is_not_text_is_read_as_json_text() {
    let pipeline = json!({
        "status": "COMPLETE", "errorMessage": "old",
        "metadata": {"a": "text", "b": 1.5, "c": {"d": [null]}},
    });
    let answer = json!({"data": {"trainingPipeline": pipeline}});
    let fixture = Fixture::new([Reply::new(200, answer)]).await;
    let read = fixture.labelbox.read_pipeline(&model_run_id()).await;
    let metadata = [("a", "text"), ("b", "1.5"), ("c", r#"{"d":[null]}"#)];
    assert_eq!(
        read,
        Ok(Pipeline {
            status: Some("COMPLETE".to_owned()),
            error_message: Some("old".to_owned()),
            metadata: metadata
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        })
    );
}

#[tokio::test]
async fn a_model_run_is_asked_for_as_the_sdk_asks() {
    let capture = capture("get_model_run");
    let fixture = Fixture::replaying(&capture).await;
    let run = fixture
        .labelbox
        .model_run(&MODEL_RUN_ID.parse().expect("an id"))
        .await;
    let run = run.expect("an answer").expect("a run");
    assert_eq!(run.model_id.as_deref(), Some("cl0modelxxxxxxxxxxxxxxxxx"));
    assert_eq!(run.name, "run 1");
    assert_eq!(run.training_metadata, json!({"batch_size": 8}));
    let request = fixture.only_request();
    assert_eq!(
        request.header("authorization"),
        Some(format!("Bearer {KEY}").as_str())
    );
    assert_same_request(&request, &capture["requests"][0]);
}

#[tokio::test]
async fn a_run_that_is_null_or_not_found_is_none() {
    for name in ["get_model_run_null", "err_resource_not_found_get"] {
        let capture = capture(name);
        let fixture = Fixture::replaying(&capture).await;
        let run = fixture
            .labelbox
            .model_run(&"nope".parse().expect("an id"))
            .await;
        assert_eq!(run, Ok(None), "{name}");
        assert_same_request(&fixture.only_request(), &capture["requests"][0]);
    }
}
