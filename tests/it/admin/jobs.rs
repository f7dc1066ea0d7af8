//! What is answered.

use serde_json::{Value, json};

use super::{Headers, call, get, post, refused, stack};
use crate::support::stack::{Stack, job_id, model, settings, workspace};

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
