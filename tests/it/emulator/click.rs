//! The click on Train model, as a server receives it.

use reqwest::StatusCode;
use serde_json::json;
use trainhook::{
    config::Secret,
    emulator::{Click, ClickError},
    signature::{WebhookSecrets, sign},
};

use super::{Server, start};

fn secret() -> Secret {
    Secret::new("test_secret")
}

fn click(server: &Server, model_run_id: &str, model_type: Option<&str>) -> Click {
    Click {
        url: server.base.clone(),
        secret: secret(),
        model_run_id: model_run_id.to_owned(),
        model_type: model_type.map(str::to_owned),
    }
}

#[tokio::test]
async fn a_click_asks_for_the_models_and_picks_the_first_both_signed() {
    let emulator = start().await;
    let mut server = Server::start().await;
    let (model, run) = emulator.create_model_run(None, "run");
    let outcome = emulator.click(click(&server, &run, None)).await;
    let outcome = outcome.expect("answers");
    assert_eq!(outcome.models.status, 200);
    let answer = outcome.model_run.expect("a second answer");
    assert_eq!(
        (answer.status, answer.json()),
        (201, Some(json!({ "jobId": "1" })))
    );

    let (method, path, signature, _, body) = server.next();
    assert_eq!(
        (&*method, &*path, &*body),
        ("GET", "/hooks/models", &b""[..])
    );
    // Known from the signature vectors: HMAC-SHA1 of nothing under test_secret.
    let known = "sha1=b33b3b73cc2715209467aca3e7d3453b7256e9ca";
    assert_eq!(signature.as_deref(), Some(known));

    let (method, path, signature, kind, body) = server.next();
    assert_eq!((&*method, &*path), ("POST", "/hooks/model_run"));
    assert_eq!(kind.as_deref(), Some("application/json"));
    let wanted = format!(
        "{{\"modelId\":\"{model}\",\"modelRunId\":\"{run}\",\"modelType\":\"zebra \u{e9}\"}}"
    );
    assert_eq!(String::from_utf8_lossy(&body), wanted);
    let secrets = WebhookSecrets::new(vec![secret()]);
    assert_eq!(secrets.verify(signature.as_deref(), &body), Ok(0));
    assert_eq!(signature, Some(sign(&secret(), &body)));
}

#[tokio::test]
async fn a_click_takes_the_named_model_type_listed_or_not() {
    let emulator = start().await;
    let mut server = Server::start().await;
    let (_, run) = emulator.create_model_run(Some("a-model"), "run");
    let outcome = emulator.click(click(&server, &run, Some("unlisted"))).await;
    assert!(outcome.expect("answers").model_run.is_some());
    server.next();
    let (_, _, _, _, body) = server.next();
    let wanted =
        format!("{{\"modelId\":\"a-model\",\"modelRunId\":\"{run}\",\"modelType\":\"unlisted\"}}");
    assert_eq!(String::from_utf8_lossy(&body), wanted);
}

#[tokio::test]
async fn a_refused_list_of_models_ends_the_click() {
    let emulator = start().await;
    let server = Server::start_with(StatusCode::UNAUTHORIZED).await;
    let (_, run) = emulator.create_model_run(None, "run");
    let outcome = emulator.click(click(&server, &run, None)).await;
    let outcome = outcome.expect("an answer");
    assert_eq!((outcome.models.status, outcome.model_run), (401, None));
}

#[tokio::test]
async fn a_click_that_cannot_be_made_says_why() {
    let emulator = start().await;
    let server = Server::start().await;
    let unknown = emulator.click(click(&server, "nothing", None)).await;
    assert!(matches!(unknown, Err(ClickError::UnknownRun(_))));
    let (_, run) = emulator.create_model_run(None, "run");
    for (url, wanted) in [
        ("ftp://127.0.0.1", "not an http"),
        ("http://127.0.0.1:1", "refused"),
    ] {
        let url = url.to_owned();
        let click = Click {
            url,
            ..click(&server, &run, None)
        };
        let error = emulator.click(click).await.expect_err("no server");
        assert!(error.to_string().contains(wanted), "{error}");
    }
}
