//! The admin listener of a real server: who may ask, and what is answered.

use serde_json::{Value, json};

use crate::support::{
    raw_http::{Answer, ask},
    stack::{Stack, UNTIL_GO, job_id, model, settings, workspace},
};

/// The headers of a request that may do everything; each can be left out or replaced.
struct Headers(Vec<(&'static str, String)>);

impl Headers {
    fn of(stack: &Stack) -> Self {
        let token = stack.lines("state/admin.token").remove(0);
        let header = |name, value: &str| (name, value.to_owned());
        Self(vec![
            header("Host", "127.0.0.1"),
            header("Authorization", &format!("Bearer {token}")),
            header("Content-Type", "application/json"),
            header("X-Trainhook", "1"),
        ])
    }

    fn without(mut self, name: &str) -> Self {
        self.0.retain(|(other, _)| *other != name);
        self
    }

    fn with(self, name: &'static str, value: &str) -> Self {
        let mut rest = self.without(name);
        rest.0.push((name, value.to_owned()));
        rest
    }
}

async fn call(stack: &Stack, headers: Headers, path: &str, body: Option<&Value>) -> Answer {
    let address = stack.server.info()["admin"].as_str().map(str::parse);
    let address = address.expect("an address").expect("a good one");
    let headers: Vec<(&str, &str)> = headers
        .0
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let method = if body.is_some() { "POST" } else { "GET" };
    let body = body.map(Value::to_string);
    ask(
        address,
        method,
        path,
        &headers,
        body.as_deref().map(str::as_bytes),
    )
    .await
}

async fn get(stack: &Stack, path: &str) -> Answer {
    call(stack, Headers::of(stack), path, None).await
}

async fn post(stack: &Stack, path: &str, mut body: Value) -> Answer {
    body["actor"] = "a tester".into();
    call(stack, Headers::of(stack), path, Some(&body)).await
}

fn refused(answer: &Answer, status: u16, code: &str) -> String {
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (status, code),
        "{answer:?}"
    );
    answer.json()["error"]["message"]
        .as_str()
        .expect("a message")
        .to_owned()
}

/// A server with a model that runs until it may end, and one that ends at once.
async fn stack() -> Stack {
    let quick = model("quick", "echo 0123456789", "");
    Stack::start(&(model("slow", UNTIL_GO, "") + &quick)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_nothing_is_told() {
    let stack = stack().await;
    for headers in [
        Headers::of(&stack).without("Authorization"),
        Headers::of(&stack).with("Authorization", "Bearer 00"),
        Headers::of(&stack).with("Authorization", "Basic Zm9v"),
    ] {
        refused(
            &call(&stack, headers, "/api/jobs", None).await,
            401,
            "unauthorized",
        );
    }
    assert_eq!(get(&stack, "/api/jobs").await.status, 200);
    for path in ["/healthz", "/readyz"] {
        let bare = Headers(Vec::new()).with("Host", "localhost");
        assert_eq!(call(&stack, bare, path, None).await.status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_are_refused() {
    let stack = stack().await;
    for (name, value) in [
        ("Host", "evil.example"),
        ("Host", "127.0.0.1.evil.example"),
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
    ] {
        let headers = Headers::of(&stack).with(name, value);
        refused(
            &call(&stack, headers, "/api/jobs", None).await,
            403,
            "forbidden",
        );
        let headers = Headers::of(&stack).with(name, value);
        refused(
            &call(&stack, headers, "/healthz", None).await,
            403,
            "forbidden",
        );
    }
    let own = Headers::of(&stack).with("Origin", "http://127.0.0.1");
    assert_eq!(call(&stack, own, "/api/jobs", None).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_something_must_say_that_it_means_to() {
    let stack = stack().await;
    let start = json!({"model": "quick", "modelRunId": stack.new_run(), "actor": "a tester"});
    let unmarked = Headers::of(&stack).without("X-Trainhook");
    refused(
        &call(&stack, unmarked, "/api/start", Some(&start)).await,
        403,
        "forbidden",
    );
    let form = Headers::of(&stack).with("Content-Type", "text/plain");
    refused(
        &call(&stack, form, "/api/start", Some(&start)).await,
        415,
        "not_json",
    );
    assert_eq!(get(&stack, "/api/jobs").await.json(), json!({"jobs": []}));
    refused(&get(&stack, "/api/start").await, 405, "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_started_listed_and_found() {
    let stack = stack().await;
    let run = stack.new_run();
    let start = json!({"model": "slow", "modelRunId": run});
    let started = post(&stack, "/api/start", start.clone()).await.json();
    assert_eq!(
        (&started["duplicate"], &started["job"]["actor"]),
        (&json!(false), &json!("a tester"))
    );
    let again = post(&stack, "/api/start", start).await.json();
    assert_eq!(
        (&again["duplicate"], &again["job"]["id"]),
        (&json!(true), &started["job"]["id"])
    );
    let other = json!({"model": "quick", "modelRunId": run});
    refused(&post(&stack, "/api/start", other).await, 409, "other_model");

    let quick = json!({"model": "quick", "modelRunId": stack.new_run()});
    let quick = post(&stack, "/api/start", quick).await.json();
    let second = quick["job"]["modelRunId"].as_str().expect("a run");
    stack.told(second, "COMPLETE").await;
    for (query, ids) in [
        ("", [&quick, &started].as_slice()),
        ("?live=true", &[&started]),
        ("?state=succeeded", &[&quick]),
        ("?model=slow", &[&started]),
        (&format!("?run={second}"), &[&quick]),
        ("?limit=1", &[&quick]),
        ("?model=none", &[]),
    ] {
        let listed = get(&stack, &format!("/api/jobs{query}")).await.json();
        let listed: Vec<&Value> = listed["jobs"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|job| &job["id"])
            .collect();
        let wanted: Vec<&Value> = ids.iter().map(|job| &job["job"]["id"]).collect();
        assert_eq!(listed, wanted, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_answered_with_what_to_do() {
    let stack = stack().await;
    let run = stack.new_run();
    let start = json!({"model": "fast", "modelRunId": run});
    let text = refused(
        &post(&stack, "/api/start", start).await,
        404,
        "unknown_model_type",
    );
    assert!(text.contains("slow") && text.contains("quick"), "{text}");
    let elsewhere = json!({"model": "quick", "modelRunId": run, "workspace": "other"});
    let text = refused(
        &post(&stack, "/api/start", elsewhere).await,
        400,
        "invalid_request",
    );
    assert!(text.contains("main"), "{text}");
    for path in [
        "/api/jobs?limit=many",
        "/api/jobs?state=dead",
        "/api/jobs?colour=red",
        "/api/jobs/none",
    ] {
        refused(&get(&stack, path).await, 400, "invalid_request");
    }
    let unknown = "01890000-0000-7000-8000-000000000000";
    for path in [
        format!("/api/jobs/{unknown}"),
        format!("/api/jobs/{unknown}/log"),
        "/api".to_owned(),
        "/".to_owned(),
    ] {
        refused(&get(&stack, &path).await, 404, "not_found");
    }
    for path in ["/api/reports/77/resend", "/api/reports/77/drop"] {
        refused(&post(&stack, path, json!({})).await, 404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_cancelled_while_it_lives_and_retried_when_it_has_ended() {
    let stack = stack().await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "slow").await);
    stack.wait_for_lines("runs", 1).await;
    let (cancel, retry) = (
        format!("/api/jobs/{id}/cancel"),
        format!("/api/jobs/{id}/retry"),
    );
    refused(&post(&stack, &retry, json!({})).await, 409, "still_live");
    refused(
        &call(&stack, Headers::of(&stack), &cancel, Some(&json!({}))).await,
        400,
        "invalid_request",
    );
    assert_eq!(post(&stack, &cancel, json!({})).await.status, 200);
    stack.told(&run, "FAILED").await;
    refused(
        &post(&stack, &cancel, json!({})).await,
        409,
        "already_ended",
    );
    stack.go();
    let retried = post(&stack, &retry, json!({})).await.json();
    assert_eq!(retried["job"]["parent"], json!(id));
    stack.told(&run, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_read_by_offset() {
    let stack = stack().await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "quick").await);
    stack.told(&run, "COMPLETE").await;
    for (query, bytes, next) in [
        ("", "0123456789\n", "11"),
        ("?from=4&limit=3", "456", "7"),
        ("?from=11", "", "11"),
    ] {
        let answer = get(&stack, &format!("/api/jobs/{id}/log{query}")).await;
        assert_eq!(answer.body, bytes, "{query}");
        assert_eq!(
            (answer.header("x-log-next"), answer.header("x-log-total")),
            (Some(next), Some("11"))
        );
    }
    refused(
        &get(&stack, &format!("/api/jobs/{id}/log?attempt=2")).await,
        404,
        "not_found",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_several_workspaces_one_must_be_named() {
    let stack = Stack::start_whole(|endpoint| {
        let executor = "[executors.local]\nkind = \"local\"\n";
        let (one, two) = (
            workspace("one", "/one", endpoint),
            workspace("two", "/two", endpoint),
        );
        settings() + &one + &two + executor + &model("quick", "true", "")
    })
    .await;
    let mut start = json!({"model": "quick", "modelRunId": stack.new_run()});
    let text = refused(
        &post(&stack, "/api/start", start.clone()).await,
        400,
        "invalid_request",
    );
    assert!(text.contains("one, two"), "{text}");
    start["workspace"] = "two".into();
    assert_eq!(
        post(&stack, "/api/start", start).await.json()["job"]["workspace"],
        "two"
    );
}
