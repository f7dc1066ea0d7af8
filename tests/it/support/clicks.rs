//! Requests byte by byte: clicks on **Train model**, as Labelbox or somebody else might send them, and questions to
//! the admin listener.

use std::net::SocketAddr;

use serde_json::json;

use super::{
    labelbox_door::signed,
    raw_http::{Answer, Client, ask},
    stack::{SECRET, Stack},
};

/// Where the server listens for Labelbox.
pub(crate) fn address(stack: &Stack) -> SocketAddr {
    let address = stack.server.info()["listen"].as_str().map(str::parse);
    address.expect("an address").expect("an address")
}

/// Sends exactly this body, signed with the stack's secret.
pub(crate) async fn post(stack: &Stack, body: &str) -> Answer {
    post_at(stack, "", SECRET, body).await
}

/// The same, under a workspace's path and with a secret of the caller's choice.
pub(crate) async fn post_at(stack: &Stack, path: &str, secret: &str, body: &str) -> Answer {
    let signature = signed(secret, body.as_bytes());
    let headers = [("X-Hub-Signature", signature.as_str())];
    let path = format!("{path}/model_run");
    ask(
        address(stack),
        "POST",
        &path,
        &headers,
        Some(body.as_bytes()),
    )
    .await
}

/// A body as Labelbox would write it for a run.
pub(crate) fn body_for(run: &str, model_type: &str) -> String {
    json!({"modelRunId": run, "modelType": model_type}).to_string()
}

/// The job's id, and whether it was there before.
pub(crate) fn accepted(answer: &Answer) -> (String, bool) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    let id = body["jobId"].as_str().expect("a job id").to_owned();
    (id, body["duplicate"].as_bool().expect("true or false"))
}

/// What the admin listener answers to a request with these header lines.
pub(crate) async fn ask_admin(stack: &Stack, path: &str, headers: &str) -> Answer {
    let address = stack.server.info()["admin"].as_str().map(str::parse);
    let address = address.expect("an address").expect("an address");
    let mut client = Client::connect(address).await;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    client.send(&request).await;
    client.answer().await
}

/// What `/readyz` answers.
pub(crate) async fn readiness(stack: &Stack) -> Answer {
    ask_admin(stack, "/readyz", "").await
}
