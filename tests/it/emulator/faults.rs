//! Faults on demand, waiting, stopping.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use trainhook::emulator::{Fault, FaultKind};

use super::{LIMIT, ask, client, post, replay, start, update};

#[tokio::test]
async fn a_fault_spoils_the_calls_it_is_for_and_no_others() {
    let emulator = start().await;
    let (_, run) = emulator.create_model_run(None, "run");
    emulator.add_fault(Fault::times(
        "updateTrainingPipeline",
        2,
        FaultKind::Status {
            status: 429,
            body: Some(json!({ "message": "You have exceeded your API limit" })),
            headers: vec![("retry-after".into(), "7".into())],
        },
    ));
    let body = update(&run, json!({ "status": "COMPLETE" }));
    let (config, _) = replay(&emulator, "get_config", &run).await;
    assert_eq!(
        config.get("errors"),
        None,
        "another operation is not spoiled"
    );
    for _ in 0..2 {
        let answer = post(&emulator, "/_gql", &body).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()["retry-after"], "7");
    }
    assert_eq!(emulator.timeline(&run), []);
    let answer = post(&emulator, "/_gql", &body).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(emulator.timeline(&run).len(), 1);
}

#[tokio::test]
async fn a_dropped_call_has_its_effect_only_if_it_is_dropped_after() {
    let emulator = start().await;
    let (_, run) = emulator.create_model_run(None, "run");
    let body = update(&run, json!({ "status": "COMPLETE" }));
    for (kind, effects) in [
        (FaultKind::DropBefore, 0),
        (FaultKind::Hang { milliseconds: 1 }, 0),
        (FaultKind::DropAfter, 1),
    ] {
        // By the operation's name this time.
        emulator.add_fault(Fault::once("setPipelineStatusPyApi", kind.clone()));
        let error = post(&emulator, "/_gql", &body)
            .await
            .expect_err("no answer");
        assert!(!error.is_timeout(), "{kind:?}: {error:?}");
        assert_eq!(emulator.timeline(&run).len(), effects, "{kind:?}");
    }
}

#[tokio::test]
async fn a_delayed_call_is_answered_and_a_graphql_error_has_its_code() {
    let emulator = start().await;
    let (_, run) = emulator.create_model_run(None, "run");
    let body = update(&run, json!({ "status": "COMPLETE" }));
    let kind = FaultKind::GraphqlError {
        code: "INTERNAL_SERVER_ERROR".into(),
        message: "m".into(),
        exception_status: Some(503),
    };
    emulator.add_fault(Fault::once("/_gql", kind));
    let answer = ask(&emulator, "/_gql", &body).await;
    let extensions = json!({ "code": "INTERNAL_SERVER_ERROR", "exception": { "status": 503 } });
    assert_eq!(answer["errors"][0]["extensions"], extensions);
    assert_eq!(emulator.timeline(&run), []);

    emulator.add_fault(Fault {
        operation: None,
        times: 1,
        kind: FaultKind::Delay { milliseconds: 5 },
    });
    let answer = ask(&emulator, "/_gql", &body).await;
    assert_eq!(
        answer["data"]["updateTrainingPipeline"]["status"],
        "COMPLETE"
    );

    emulator.add_fault(Fault::once("/_gql", FaultKind::DropBefore));
    emulator.clear_faults();
    ask(&emulator, "/_gql", &body).await;
    assert_eq!(emulator.timeline(&run).len(), 2);
}

#[tokio::test]
async fn a_call_that_is_answered_late_has_its_effect_before() {
    let emulator = start().await;
    let (_, run) = emulator.create_model_run(None, "run");
    let body = update(&run, json!({ "status": "COMPLETE" }));
    let late = FaultKind::AnswerLate {
        milliseconds: 60_000,
    };
    emulator.add_fault(Fault::once("updateTrainingPipeline", late));
    let complete = emulator.wait_for(&run, LIMIT, |timeline| timeline.len() == 1);
    tokio::select! {
        effect = complete => assert_eq!(effect.expect("its effect").len(), 1),
        answer = post(&emulator, "/_gql", &body) => panic!("answered: {answer:?}"),
    }
}

#[tokio::test]
async fn a_wait_ends_with_the_update_it_waits_for() {
    let emulator = start().await;
    let (_, run) = emulator.create_model_run(None, "run");
    let body = update(&run, json!({ "status": "COMPLETE" }));
    let complete = emulator.wait_for(&run, LIMIT, |t| t.iter().any(|e| e.status == "COMPLETE"));
    let (seen, _) = tokio::join!(complete, ask(&emulator, "/_gql", &body));
    assert_eq!(seen.expect("the update").len(), 1);
    let requests = emulator.wait_for_requests(LIMIT, |requests| requests.len() == 1);
    let requests = requests.await.expect("the request");
    assert_eq!(
        requests[0].operation.as_deref(),
        Some("setPipelineStatusPyApi")
    );
    assert_eq!(
        requests[0].root_field.as_deref(),
        Some("updateTrainingPipeline")
    );
    assert_eq!(requests[0].body, body);

    let never = emulator.wait_for(&run, Duration::from_millis(10), |t| t.len() > 1);
    let timeout = never.await.expect_err("nothing more came");
    assert!(timeout.to_string().contains("COMPLETE"), "{timeout}");
}

#[tokio::test]
async fn a_stopped_emulator_is_gone() {
    let emulator = start().await;
    let url = emulator.graphql_url();
    emulator.stop().await;
    let error = client().post(url).send().await.expect_err("nobody there");
    assert!(error.is_connect(), "{error:?}");
}
