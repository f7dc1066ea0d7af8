//! What Labelbox asks of us, once its signature is right: the list of models, and runs to train.

use std::{str::FromStr, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use trainhook::{
    http::labelbox::{AcceptError, WorkspaceRoutes},
    job::{JobId, ModelRunId},
};

use crate::support::{
    labelbox_door::{
        Door, SECRET, Settings, assert_refused, list, model, signed, webhook_secrets,
        workspace_settings,
    },
    raw_http::{Answer, ask},
};

const PAYLOAD: &str = include_str!("../fixtures/labelbox/model_run_payload_2022.json");

async fn post(door: &Door, body: &str) -> Answer {
    let signature = signed(SECRET, body.as_bytes());
    let headers = [("X-Hub-Signature", signature.as_str())];
    ask(
        door.address,
        "POST",
        "/model_run",
        &headers,
        Some(body.as_bytes()),
    )
    .await
}

#[tokio::test]
async fn the_recorded_payload_becomes_a_request() {
    let door = Door::with_models(&["ner", "text_multi_classification"]).await;
    let recorded: Value = serde_json::from_str(PAYLOAD).expect("a recording");
    let body = recorded["body"].to_string();
    let answer = post(&door, &body).await;
    assert_eq!(answer.status, 200);
    let job_id =
        JobId::from_str(answer.json()["jobId"].as_str().expect("a job")).expect("a job id");
    assert_eq!(
        answer.json(),
        json!({"jobId": job_id, "state": "accepted", "duplicate": false})
    );
    let accepted = door.accepted();
    let [request] = accepted.as_slice() else {
        panic!("{accepted:?}")
    };
    assert_eq!(request.workspace, "main");
    assert_eq!(request.model.slug, "model-1");
    assert_eq!(
        request.model_run_id.as_str(),
        "9ddd190d-5d63-0fc4-0758-b87923c0b6ea"
    );
    assert_eq!(
        request.model_id.as_deref(),
        Some("9db9981b-af8d-0d7a-bf31-26fd406b73e4")
    );
    assert_eq!(request.webhook, body);
    assert_eq!(post(&door, &body).await.json()["duplicate"], true);
}

#[tokio::test]
async fn the_models_keep_their_order_and_their_titles() {
    let titles = ["zebra", "MAL-Inference: my \"model\"", "détecteur ✓", "a"];
    let door = Door::with_models(&titles).await;
    let body = list(&door, "/models", SECRET).await.body;
    assert_eq!(
        body,
        r#"{"zebra":{},"MAL-Inference: my \"model\"":{},"détecteur ✓":{},"a":{}}"#
    );
    for title in titles {
        let body = json!({"modelRunId": title, "modelType": title}).to_string();
        assert_eq!(post(&door, &body).await.status, 200, "{title}");
    }
}

#[tokio::test]
async fn a_workspace_offers_only_the_models_it_names() {
    let models = [model(0, "a"), model(1, "b"), model(2, "c")];
    let settings = workspace_settings("main", "/", Some(&["model-2", "model-0"]));
    let routes = WorkspaceRoutes::new(&settings, &models, webhook_secrets(&[SECRET]));
    let door = Door::open(vec![routes], Settings::default()).await;
    assert_eq!(
        list(&door, "/models", SECRET).await.body,
        r#"{"a":{},"c":{}}"#
    );
    let answer = post(&door, r#"{"modelRunId":"r","modelType":"b"}"#).await;
    assert_refused(&door, &answer, 404, "unknown_model_type", "are: a, c");
}

#[tokio::test]
async fn an_unreadable_payload_is_the_callers_mistake_and_says_which() {
    let door = Door::with_models(&["ner"]).await;
    let deep = format!(
        r#"{{"modelRunId":"r","modelType":"ner","x":{}1{}}}"#,
        "[".repeat(500),
        "]".repeat(500)
    );
    let long = format!(
        r#"{{"modelRunId":"{}","modelType":"ner"}}"#,
        "r".repeat(201)
    );
    for (body, word) in [
        ("", "EOF"),
        ("not json", "line 1"),
        ("null", "a JSON object"),
        (r#"["modelRunId"]"#, "a JSON object"),
        ("{}", "modelRunId is missing"),
        (r#"{"modelRunId":"r"}"#, "modelType is missing"),
        (r#"{"modelType":"ner"}"#, "modelRunId is missing"),
        (
            r#"{"modelRunId":7,"modelType":"ner"}"#,
            "modelRunId must be a text",
        ),
        (
            r#"{"modelRunId":"r","modelType":null}"#,
            "modelType must be a text",
        ),
        (
            r#"{"modelRunId":"r","modelType":"ner","modelId":[]}"#,
            "modelId must be a text",
        ),
        (
            r#"{"modelRunId":"r","modelType":"ner","modelId":""}"#,
            "modelId",
        ),
        (r#"{"modelRunId":"","modelType":"ner"}"#, "modelRunId"),
        (r#"{"modelRunId":"a\nb","modelType":"ner"}"#, "printable"),
        (
            r#"{"modelRunId":"r","modelRunId":"s","modelType":"ner"}"#,
            "twice",
        ),
        (
            r#"{"modelRunId":"r","modelType":"ner","x":1,"x":2}"#,
            "twice",
        ),
        (r#"{"modelRunId":"r","modelType":"ner"} {}"#, "trailing"),
        (r#"{"modelRunId":"r","modelType":"ner",}"#, "line 1"),
        (r#"{"modelRunId":"\ud800","modelType":"ner"}"#, "line 1"),
        (
            "\u{feff}{\"modelRunId\":\"r\",\"modelType\":\"ner\"}",
            "byte order mark",
        ),
        (&deep, "recursion"),
        (&long, "200"),
    ] {
        assert_refused(
            &door,
            &post(&door, body).await,
            400,
            "invalid_request",
            word,
        );
    }
    let body = b"{\"modelRunId\":\"r\xff\",\"modelType\":\"ner\"}";
    let signature = signed(SECRET, body);
    let headers = [("X-Hub-Signature", signature.as_str())];
    let answer = ask(door.address, "POST", "/model_run", &headers, Some(body)).await;
    assert_refused(&door, &answer, 400, "invalid_request", "UTF-8");
}

#[tokio::test]
async fn an_unknown_model_is_answered_with_those_that_exist() {
    let door = Door::with_models(&["ner", "bounding_box"]).await;
    let answer = post(&door, r#"{"modelRunId":"r","modelType":"nope"}"#).await;
    assert_refused(
        &door,
        &answer,
        404,
        "unknown_model_type",
        "are: ner, bounding_box",
    );
    let slug = post(&door, r#"{"modelRunId":"r","modelType":"model-0"}"#).await;
    assert_refused(&door, &slug, 404, "unknown_model_type", "");
    let titles: Vec<String> = (0..500).map(|n| format!("model number {n}")).collect();
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    let door = Door::with_models(&titles).await;
    let asked = "x".repeat(10_000);
    let body = json!({"modelRunId": "r", "modelType": asked}).to_string();
    let answer = post(&door, &body).await;
    assert_refused(&door, &answer, 404, "unknown_model_type", "500 in all");
    assert!(answer.body.len() < 1000, "{answer:?}");
}

#[tokio::test]
async fn each_refusal_of_the_intake_has_its_answer() {
    let door = Door::with_models(&["ner"]).await;
    let job_id = JobId::new(Timestamp::UNIX_EPOCH);
    let other = AcceptError::OtherModel {
        job_id,
        model_type: "bounding_box".to_owned(),
    };
    let unavailable = AcceptError::Unavailable {
        retry_after: Duration::from_millis(1500),
    };
    let too_many = AcceptError::TooMany("max_starts_per_day of ner is reached".to_owned());
    for (refusal, status, code, word) in [
        (other, 409, "other_model", job_id.to_string()),
        (unavailable, 503, "unavailable", "2 s".to_owned()),
        (too_many, 429, "too_many", "max_starts_per_day".to_owned()),
    ] {
        *door.intake.refusal.lock().expect("a lock") = Some(refusal);
        let answer = post(&door, r#"{"modelRunId":"r","modelType":"ner"}"#).await;
        assert_refused(&door, &answer, status, code, &word);
        assert_eq!(answer.header("retry-after"), (status == 503).then_some("2"));
    }
}

#[tokio::test]
async fn a_model_id_may_be_missing_and_other_keys_are_left_alone() {
    let door = Door::with_models(&["ner"]).await;
    for body in [
        r#"{"modelRunId":"r","modelType":"ner"}"#,
        r#"{"modelRunId":"r","modelType":"ner","modelId":null}"#,
        "\n {\"x\":[{}],\"modelType\":\"ner\",\"modelRunId\":\"r\"}\n",
    ] {
        assert_eq!(post(&door, body).await.status, 200, "{body}");
    }
    for request in door.accepted() {
        assert_eq!(
            request.model_run_id,
            ModelRunId::from_str("r").expect("an id")
        );
        assert_eq!(request.model_id, None);
    }
    assert!(door.accepted()[2].webhook.ends_with(b"\n"));
}
