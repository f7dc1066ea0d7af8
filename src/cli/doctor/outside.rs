//! The way from outside: what is sent to the public address, and what of it arrives.

use std::time::Duration;

use reqwest::{Client, Method, Url};
use serde_json::Value;

use super::{AdminClient, Findings};
use crate::{
    config::{Config, Secret, Workspace},
    outbound,
    signature::{SIGNATURE_HEADER, sign},
};

/// One request may take this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whoever rewrites JSON changes something of this: its spaces, escapes, number, or the newline at its end. It names no
/// run, so that it starts nothing.
const DELICATE_BODY: &str = "{\"doctor\":  \"\\u00e9 \u{e9} \u{624b}\", \"n\": 1.0}\n";

/// What came back.
struct Answer {
    status: u16,
    body: String,
}

/// The workspace that `url` is registered for: the one that is named, the only one, or the one whose path it ends in.
pub(super) fn find_workspace<'a>(
    config: &'a Config,
    asked: Option<&str>,
    url: &Url,
) -> Result<&'a Workspace, String> {
    let path = url.path().trim_end_matches('/');
    let mut workspaces = config.workspaces.iter();
    let found = match (asked, config.workspaces.as_slice()) {
        (Some(name), _) => workspaces.find(|workspace| workspace.name == name),
        (None, [only]) => Some(only),
        (None, _) => workspaces
            .filter(|workspace| path.ends_with(workspace.path.trim_end_matches('/')))
            .max_by_key(|workspace| workspace.path.len()),
    };
    found.ok_or_else(|| "which workspace is it for? name one with --workspace".to_owned())
}

pub(super) async fn examine(
    url: &Url,
    workspace: &Workspace,
    server: Option<&AdminClient>,
    findings: &mut Findings,
) {
    let client = match outbound::client_builder().timeout(PATIENCE).build() {
        Ok(client) => client,
        Err(error) => return findings.tell("the way from outside", Err(error.to_string())),
    };
    let secret = match workspace
        .webhook_secrets
        .first()
        .map(|secret| secret.read())
    {
        Some(Ok(secret)) => secret,
        Some(Err(error)) => return findings.tell("the way from outside", Err(error.to_string())),
        None => Secret::new(String::new()),
    };
    let steps = [
        (Method::GET, "ping", "", 200),
        (Method::GET, "models", "", 200),
        // A body that arrives as it was sent is refused for what it lacks, not for its signature.
        (Method::POST, "model_run", DELICATE_BODY, 400),
    ];
    for (method, endpoint, body, expected) in steps {
        let what = format!("from outside, {method} {endpoint}");
        let found = match send(&client, url, method, endpoint, body, &secret).await {
            Err(error) => Err(error),
            Ok(answer) if answer.status == expected => Ok("arrives as it was sent".to_owned()),
            Ok(answer) => {
                let mut words = explain(&answer, server).await;
                // The request before it was signed with the same secret, and taken.
                if answer.status == 401 && !body.is_empty() {
                    words += "; the secret is right, so the body was changed on its way";
                }
                Err(words)
            }
        };
        let arrived = found.is_ok();
        findings.tell(&what, found);
        if !arrived {
            return;
        }
    }
}

async fn send(
    client: &Client,
    url: &Url,
    method: Method,
    endpoint: &str,
    body: &'static str,
    secret: &Secret,
) -> Result<Answer, String> {
    let base = url.as_str().trim_end_matches('/');
    let request = client
        .request(method, format!("{base}/{endpoint}"))
        .header(SIGNATURE_HEADER, sign(secret, body.as_bytes()));
    let request = match body {
        "" => request,
        body => request
            .header("content-type", "application/json")
            .body(body),
    };
    let sent = request.send().await;
    let response =
        sent.map_err(|error| format!("it cannot be reached: {}", outbound::causes(&error)))?;
    let status = response.status().as_u16();
    let body = response.text().await.map_err(|error| error.to_string())?;
    Ok(Answer { status, body })
}

/// What went wrong, by the answer and, where our own server can be asked, by what arrived there.
async fn explain(answer: &Answer, server: Option<&AdminClient>) -> String {
    let ours: Option<Value> = serde_json::from_str(&answer.body).ok();
    let message = ours
        .as_ref()
        .and_then(|body| body["error"]["message"].as_str());
    let Some(message) = message else {
        return format!(
            "the answer {} is not trainhook's: something else listens there, or a proxy answers for it",
            answer.status
        );
    };
    let words = format!("{} {message}", answer.status);
    let Some(server) = server else {
        return words;
    };
    let refused = server.get("/api/refused").await.unwrap_or_default();
    let last = &refused["refused"][0];
    match (last["path"].as_str(), last["diagnosis"].as_str()) {
        (Some(path), Some(diagnosis)) => format!("{words}; it arrived at {path}: {diagnosis}"),
        (Some(path), None) => format!("{words}; it arrived at {path}"),
        _ => words,
    }
}
