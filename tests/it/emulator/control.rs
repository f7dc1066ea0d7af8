//! The control surface, as a test in another language uses it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use trainhook::emulator::Emulator;

use super::{Server, ask, client, post, start, update};

async fn control(
    emulator: &Emulator,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let url = format!("{}{path}", emulator.control_url());
    let mut request = client().request(method, url);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}

#[tokio::test]
async fn a_run_lives_from_its_creation_to_its_end() {
    let emulator = start().await;
    let new = json!({ "modelId": "m", "name": "n", "config": { "epochs": 3 } });
    let (status, made) = control(&emulator, Method::POST, "/model-runs", Some(new)).await;
    assert_eq!((status, &made["modelId"]), (201, &json!("m")));
    let run = made["modelRunId"].as_str().expect("an id");
    let path = format!("/model-runs/{run}");

    ask(
        &emulator,
        "/_gql",
        &update(run, json!({ "status": "COMPLETE" })),
    )
    .await;
    let (status, shown) = control(&emulator, Method::GET, &path, None).await;
    assert_eq!((status, &shown["config"]), (200, &json!({ "epochs": 3 })));
    assert_eq!(shown["pipeline"]["status"], "COMPLETE");
    assert_eq!(shown["timeline"][0]["status"], "COMPLETE");
    let (_, seen) = control(&emulator, Method::GET, "/requests", None).await;
    assert_eq!(seen["requests"][0]["rootField"], "updateTrainingPipeline");

    let (status, _) = control(&emulator, Method::DELETE, &path, None).await;
    assert_eq!(status, 200);
    let (status, _) = control(&emulator, Method::GET, &path, None).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn faults_come_and_go() {
    let emulator = start().await;
    let fault = json!({ "operation": "updateTrainingPipeline", "times": 2, "kind": { "status": { "status": 503 } } });
    let (status, _) = control(&emulator, Method::POST, "/faults", Some(fault)).await;
    assert_eq!(status, 201);
    let (_, run) = emulator.create_model_run(None, "run");
    let body = update(&run, json!({ "status": "COMPLETE" }));
    let answer = post(&emulator, "/_gql", &body).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let (status, _) = control(&emulator, Method::DELETE, "/faults", None).await;
    assert_eq!(status, 200);
    let answer = post(&emulator, "/_gql", &body).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);

    let drop = json!({ "kind": "dropBefore" });
    control(&emulator, Method::POST, "/faults", Some(drop)).await;
    post(&emulator, "/_gql", &body)
        .await
        .expect_err("no answer");
}

async fn welcome(emulator: &Emulator) -> String {
    let welcome = client().get(format!("http://{}/", emulator.address()));
    let welcome = welcome.send().await.expect("an answer");
    welcome.text().await.expect("text")
}

#[tokio::test]
async fn every_fault_that_is_told_of_can_be_set_as_it_is_written() {
    let emulator = start().await;
    let told = welcome(&emulator).await;
    let kinds = told.lines().map(str::trim);
    let kinds: Vec<Value> = kinds
        .skip_while(|line| !line.starts_with("\"kind\" is one of"))
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    assert_eq!(kinds.len(), 12, "{told}");
    for kind in kinds {
        let name = kind
            .as_str()
            .or_else(|| kind.as_object()?.keys().next().map(String::as_str));
        let operation = match name.expect("a name") {
            "truncateBody" | "addressExpires" => "/files/exports",
            "refusesEvery" => "createModelErrorAnalysisPredictionImport",
            _ => "exportDataRowsInModelRun",
        };
        let fault = json!({ "operation": operation, "kind": kind });
        let (status, answer) = control(&emulator, Method::POST, "/faults", Some(fault)).await;
        assert_eq!(status, 201, "{kind}: {answer}");
    }
}

#[tokio::test]
async fn a_fault_of_an_unknown_operation_is_refused_with_those_that_there_are() {
    let emulator = start().await;
    let told = welcome(&emulator).await;
    let wish = |operation: &str| Some(json!({ "operation": operation, "kind": "dropBefore" }));
    for unknown in [
        "updateTrainingPipelin",
        "",
        "/file",
        "/files/nowhere/x",
        "/masks/",
        "/control/requests",
    ] {
        let (status, refusal) = control(&emulator, Method::POST, "/faults", wish(unknown)).await;
        assert_eq!(status, 400, "{unknown:?}: {refusal}");
        let text = refusal["error"]["message"].as_str().expect("a reason");
        let (_, known) = text
            .split_once("there are: ")
            .expect("those that there are");
        let known: Vec<&str> = known.split(", ").collect();
        for name in [
            "updateTrainingPipeline",
            "setPipelineStatusPyApi",
            "/_gql",
            "/files/exports",
        ] {
            assert!(known.contains(&name), "{name}: {text}");
        }
        assert!(known.iter().all(|name| told.contains(name)), "{text}");
    }
    for known in [
        "annotationGroups",
        "GetUserCreatedTasksPyApi",
        "/graphql",
        "/masks",
        "/files/media/digit-0001.png",
    ] {
        let (status, refusal) = control(&emulator, Method::POST, "/faults", wish(known)).await;
        assert_eq!(status, 201, "{known}: {refusal}");
    }
    // The refused ones wait for nothing.
    control(&emulator, Method::DELETE, "/faults", None).await;
    let (_, run) = emulator.create_model_run(None, "run");
    let body = update(&run, json!({ "status": "COMPLETE" }));
    let answer = post(&emulator, "/_gql", &body).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_fault_that_cannot_happen_to_its_operation_is_refused() {
    let emulator = start().await;
    for (operation, kind) in [
        (
            "updateTrainingPipeline",
            json!({ "fails": { "message": "m" } }),
        ),
        ("/files/exports", json!({ "takes": { "milliseconds": 1 } })),
        (
            "exportDataRowsInModelRun",
            json!({ "refusesEvery": { "lines": 2 } }),
        ),
        ("task", json!({ "truncateBody": { "bytes": 1 } })),
        ("/masks", json!("dropAfter")),
    ] {
        let fault = json!({ "operation": operation, "kind": kind });
        let (status, refusal) = control(&emulator, Method::POST, "/faults", Some(fault)).await;
        assert_eq!(status, 400, "{operation}: {refusal}");
        let text = refusal["error"]["message"].as_str().expect("a reason");
        assert!(text.contains("but only to"), "{text}");
    }
}

#[tokio::test]
async fn a_click_is_made_on_demand() {
    let emulator = start().await;
    let server = Server::start().await;
    let (_, run) = emulator.create_model_run(None, "run");
    let click = |url: &str, run: &str| json!({ "url": url, "secret": "s", "modelRunId": run });
    let wish = Some(click(&server.base, &run));
    let (status, outcome) = control(&emulator, Method::POST, "/click", wish).await;
    assert_eq!((status, &outcome["modelRun"]["status"]), (200, &json!(201)));
    assert_eq!(outcome["models"]["status"], 200);
    for (url, run, wanted) in [
        (&*server.base, "unknown", 404),
        ("nowhere", &*run, 400),
        ("http://127.0.0.1:1", &*run, 502),
    ] {
        let wish = Some(click(url, run));
        let (status, refusal) = control(&emulator, Method::POST, "/click", wish).await;
        assert_eq!(status, wanted, "{refusal}");
        assert!(refusal["error"]["message"].is_string());
    }
}

#[tokio::test]
async fn a_bad_wish_is_refused_with_a_reason() {
    let emulator = start().await;
    for (path, body) in [
        ("/model-runs", json!({ "nmae": "typo" })),
        ("/model-runs", json!([])),
        ("/faults", json!({ "kind": "explode" })),
        ("/faults", json!({ "kind": { "status": { "status": 7 } } })),
        ("/click", json!({ "url": "http://127.0.0.1:1" })),
    ] {
        let (status, refusal) = control(&emulator, Method::POST, path, Some(body)).await;
        assert_eq!(status, 400, "{path}: {refusal}");
        assert_eq!(refusal["error"]["code"], "bad_request", "{path}");
    }
    let (status, _) = control(&emulator, Method::GET, "/nothing", None).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn only_this_machine_steers() {
    let emulator = start().await;
    let url = format!("{}/requests", emulator.control_url());
    for (header, value, wanted) in [
        ("host", "localhost:8000", 200),
        ("host", "[::1]:8000", 200),
        ("host", "labelbox.example", 403),
        ("host", "127.0.0.1.labelbox.example", 403),
        ("host", "user@labelbox.example", 403),
        ("origin", "http://localhost:3000", 200),
        ("origin", "https://labelbox.example", 403),
        ("origin", "null", 403),
    ] {
        let answer = client().get(&url).header(header, value).send().await;
        let status = answer.expect("an answer").status();
        assert_eq!(status.as_u16(), wanted, "{header}: {value}");
    }
    let text = welcome(&emulator).await;
    assert!(text.contains("/control/click"), "{text}");
}
