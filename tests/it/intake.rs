//! Labelbox's side of the door: signatures, paths, payloads, and every answer.

use std::{str::FromStr, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use trainhook::{
    http::labelbox::{AcceptError, WorkspaceRoutes},
    job::{JobId, ModelRunId},
    signature::SignatureError,
};

use crate::support::{
    labelbox_door::{
        Door, SECRET, Settings, model, signed, webhook_secrets, workspace, workspace_settings,
    },
    raw_http::{Answer, ask},
};

const VECTORS: &str = include_str!("../fixtures/labelbox/signature_vectors.json");
const PAYLOAD: &str = include_str!("../fixtures/labelbox/model_run_payload_2022.json");
const REFERENCE: &str = include_str!("../fixtures/labelbox/reference_coordinator.json");

/// The signature that Labelbox sends with GET /models for [`SECRET`].
const EMPTY_BODY: &str = "sha1=b33b3b73cc2715209467aca3e7d3453b7256e9ca";

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

async fn list(door: &Door, path: &str, secret: &str) -> Answer {
    let signature = signed(secret, b"");
    ask(
        door.address,
        "GET",
        path,
        &[("X-Hub-Signature", &signature)],
        None,
    )
    .await
}

/// Refused with `status` and `code`, its message holding `word`; nothing was accepted.
fn assert_refused(door: &Door, answer: &Answer, status: u16, code: &str, word: &str) {
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (status, code),
        "{answer:?}"
    );
    assert!(answer.body.contains(word), "{word:?} not in {answer:?}");
    assert!(door.accepted().is_empty());
}

#[test]
fn every_vector_is_verified_and_nothing_else() {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).expect("vectors");
    assert_eq!(vectors.len(), 6);
    for vector in vectors {
        let text = |key: &str| vector[key].as_str().expect("a text").to_owned();
        let (body, right) = (text("body_utf8"), text("X-Hub-Signature"));
        let secret = text("secret");
        let secrets = webhook_secrets(&["another", &secret]);
        let verify = |header: &str| secrets.verify(Some(header), body.as_bytes());
        assert_eq!(signed(&secret, body.as_bytes()), right);
        assert_eq!(verify(&right), Ok(1));
        for wrong in ["NOT this: sha1(secret+body)", "NOT this: sha1(body+secret)"] {
            assert_eq!(
                verify(&format!("sha1={}", text(wrong))),
                Err(SignatureError::Mismatch)
            );
        }
        let stronger = text("X-Hub-Signature-256 (webhook v2 example only)");
        assert_eq!(verify(&stronger), Err(SignatureError::Malformed));
        assert_eq!(
            verify(&right.to_uppercase()),
            Err(SignatureError::Malformed)
        );
    }
}

#[tokio::test]
async fn every_vector_passes_the_door_and_its_wrong_readings_do_not() {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).expect("vectors");
    for vector in vectors {
        let text = |key: &str| vector[key].as_str().expect("a text").to_owned();
        let (secret, body) = (text("secret"), text("body_utf8"));
        let titles = [
            "bounding_box",
            "text_multi_classification",
            "détecteur",
            "ner",
        ];
        let routes = vec![workspace("main", "/", &[&secret], &titles)];
        let door = Door::open(routes, Settings::default()).await;
        let (method, path) = if body.is_empty() {
            ("GET", "/models")
        } else {
            ("POST", "/model_run")
        };
        let send = async |signature: String| {
            let headers = [("X-Hub-Signature", signature.as_str())];
            let body = (!body.is_empty()).then_some(body.as_bytes());
            ask(door.address, method, path, &headers, body).await
        };
        for wrong in ["NOT this: sha1(secret+body)", "NOT this: sha1(body+secret)"] {
            let answer = send(format!("sha1={}", text(wrong))).await;
            assert_refused(&door, &answer, 401, "signature_mismatch", "");
        }
        assert_eq!(send(text("X-Hub-Signature")).await.status, 200, "{vector}");
    }
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

/// What the reference implementation answered, and what we do instead where that is better.
fn our_status(case: &str, theirs: u64) -> u64 {
    match case {
        // Nothing of a caller's mistake is a 500.
        "run_no_model_type" | "run_no_model_run_id" | "run_not_json" => 400,
        "run_unknown_type" => 404,
        // Labelbox is asked whether the run exists before it is started, not before it is accepted: the
        // answer does not wait for Labelbox, and an unknown run ends as a failed job.
        "run_unknown_model_run" => 200,
        // The job that raises is accepted there as well as here; its failure is told to Labelbox later.
        "run_job_raises" => 200,
        // Its client followed a redirect to /models; we answer at once.
        "models_trailing_slash" => 200,
        _ => theirs,
    }
}

#[tokio::test]
async fn every_case_of_the_reference_implementation_is_answered_as_well_or_better() {
    let reference: Value = serde_json::from_str(REFERENCE).expect("cases");
    let cases = reference["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 25);
    for case in cases {
        let name = case["case"].as_str().expect("a name");
        let door = Door::with_models(&["bounding_box", "ner", "boom"]).await;
        let (asked, theirs) = (&case["request"], &case["response"]);
        let (method, path) = (
            asked["method"].as_str().expect("a method"),
            asked["path"].as_str().expect("a path"),
        );
        let headers = asked["headers"].as_object().expect("headers").iter();
        let headers: Vec<_> = headers
            .map(|(key, value)| (key.as_str(), value.as_str().expect("a value")))
            .collect();
        let answer = ask(
            door.address,
            method,
            path,
            &headers,
            asked["body"].as_str().map(str::as_bytes),
        )
        .await;
        let status = our_status(name, theirs["status"].as_u64().expect("a status"));
        assert_eq!(u64::from(answer.status), status, "{name}: {answer:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "{name}"
        );
        assert_eq!(answer.header("allow"), theirs["allow"].as_str(), "{name}");
        let accepts = status == 200 && method == "POST";
        assert_eq!(door.accepted().len(), usize::from(accepts), "{name}");
        if status == 200 && !accepts {
            assert_eq!(
                answer.body,
                theirs["body"].as_str().expect("a body"),
                "{name}"
            );
        }
        if status >= 400 && method != "HEAD" {
            answer.error_code();
        }
    }
}

#[tokio::test]
async fn slashes_too_many_are_not_there() {
    let door = Door::with_models(&["ner"]).await;
    for path in [
        "/models",
        "//models",
        "/models/",
        "///models//",
        "/models?a=b",
    ] {
        let answer = list(&door, path, SECRET).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, r#"{"ner":{}}"#),
            "{path}"
        );
    }
    assert_eq!(
        ask(door.address, "GET", "//ping/", &[], None).await.body,
        "\"pong\""
    );
    for path in [
        "/",
        "//",
        "/model",
        "/models/x",
        "/modelsx",
        "/Models",
        "/x/models",
        "*",
    ] {
        let answer = list(&door, path, SECRET).await;
        assert_refused(&door, &answer, 404, "not_found", "");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one() {
    let door = Door::with_models(&["ner"]).await;
    for (path, allow) in [
        ("/models", "GET"),
        ("//ping", "GET"),
        ("/model_run/", "POST"),
    ] {
        for method in ["DELETE", "PUT", "OPTIONS", "HEAD", "BREW"] {
            let answer = ask(door.address, method, path, &[], None).await;
            assert_eq!(
                (answer.status, answer.header("allow")),
                (405, Some(allow)),
                "{method} {path}"
            );
        }
    }
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
async fn each_workspace_has_its_own_path_secret_and_models() {
    let routes = vec![
        workspace("root", "/", &["s0"], &["zero"]),
        workspace("one", "/team", &["s1"], &["one"]),
        workspace("two", "/team/models", &["s2"], &["two"]),
    ];
    let door = Door::open(routes, Settings::default()).await;
    for (path, secret, body) in [
        ("/models", "s0", r#"{"zero":{}}"#),
        ("/team/models", "s1", r#"{"one":{}}"#),
        ("//team//models", "s1", r#"{"one":{}}"#),
        ("/team/models/models", "s2", r#"{"two":{}}"#),
    ] {
        let answer = list(&door, path, secret).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{path}");
        let answer = list(&door, path, "another").await;
        assert_refused(&door, &answer, 401, "signature_mismatch", "");
    }
    for path in [
        "/tea/models",
        "/teams/models",
        "/team/x/models",
        "/models/team",
    ] {
        assert_refused(&door, &list(&door, path, "s1").await, 404, "not_found", "");
    }
    let body = br#"{"modelRunId":"r","modelType":"one"}"#;
    let signature = signed("s1", body);
    let headers = [("X-Hub-Signature", signature.as_str())];
    assert_eq!(
        ask(
            door.address,
            "POST",
            "/team/model_run",
            &headers,
            Some(body)
        )
        .await
        .status,
        200
    );
    assert_eq!(door.accepted()[0].workspace, "one");
}

#[tokio::test]
async fn without_a_workspace_at_the_root_the_root_is_empty() {
    let door = Door::open(
        vec![workspace("one", "/one", &[SECRET], &["a"])],
        Settings::default(),
    )
    .await;
    assert_refused(
        &door,
        &list(&door, "/models", SECRET).await,
        404,
        "not_found",
        "",
    );
}

#[tokio::test]
async fn while_secrets_rotate_both_are_valid() {
    let routes = vec![workspace("main", "/", &["new", "old"], &["ner"])];
    let door = Door::open(routes, Settings::default()).await;
    assert_eq!(list(&door, "/models", "new").await.status, 200);
    assert_eq!(list(&door, "/models", "old").await.status, 200);
    assert_eq!(list(&door, "/models", "older").await.status, 401);
}

#[tokio::test]
async fn the_signature_header_has_no_case_but_its_value_has() {
    let door = Door::with_models(&["ner"]).await;
    let send =
        async |headers: &[(&str, &str)]| ask(door.address, "GET", "/models", headers, None).await;
    for name in ["X-Hub-Signature", "x-hub-signature", "X-HUB-SIGNATURE"] {
        assert_eq!(send(&[(name, EMPTY_BODY)]).await.status, 200, "{name}");
    }
    assert_refused(&door, &send(&[]).await, 401, "signature_missing", "missing");
    let bare = &EMPTY_BODY["sha1=".len()..];
    let upper = format!("sha1={}", bare.to_uppercase());
    for value in [
        "",
        "sha1=",
        bare,
        &upper,
        &EMPTY_BODY[..44],
        "sha256=00",
        "sha1=é",
    ] {
        let answer = send(&[("X-Hub-Signature", value)]).await;
        assert_refused(&door, &answer, 401, "signature_malformed", "40 hex digits");
    }
    let twice = send(&[
        ("X-Hub-Signature", EMPTY_BODY),
        ("x-hub-signature", EMPTY_BODY),
    ])
    .await;
    assert_refused(&door, &twice, 401, "signature_malformed", "");
}

#[tokio::test]
async fn a_get_with_a_body_is_verified_over_that_body() {
    let door = Door::with_models(&["ner"]).await;
    let send = async |signature: &str, body: &[u8]| {
        ask(
            door.address,
            "GET",
            "/models",
            &[("X-Hub-Signature", signature)],
            Some(body),
        )
        .await
    };
    assert_eq!(send(EMPTY_BODY, b"").await.status, 200);
    assert_eq!(send(&signed(SECRET, b"{}"), b"{}").await.status, 200);
    assert_eq!(send(EMPTY_BODY, b"{}").await.status, 401);
}

#[tokio::test]
async fn nothing_is_read_before_its_signature_is_right() {
    let door = Door::with_models(&["ner"]).await;
    let headers = [("X-Hub-Signature", EMPTY_BODY)];
    let answer = ask(
        door.address,
        "POST",
        "/model_run",
        &headers,
        Some(b"not json"),
    )
    .await;
    assert_refused(&door, &answer, 401, "signature_mismatch", "");
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
