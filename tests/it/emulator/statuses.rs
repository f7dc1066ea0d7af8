//! What status updates and configs do, with what the SDK really sends.

use serde_json::{Value, json};

use super::{ask, capture, code, replay, start, update};

#[tokio::test]
async fn captured_status_updates_are_answered_as_captured() {
    let emulator = start().await;
    for name in [
        "update_status_EXPORTING_DATA",
        "update_status_PREPARING_DATA",
        "update_status_TRAINING_MODEL",
        "update_status_COMPLETE",
        "update_status_FAILED_error",
        "update_status_metadata",
        "update_status_empty_values",
    ] {
        let (_, run) = emulator.create_model_run(None, name);
        let (got, captured) = replay(&emulator, name, &run).await;
        assert_eq!(got, captured, "{name}");
        let sent = &capture(name)["json"]["variables"]["data"];
        let entry = json!(emulator.timeline(&run)[0]);
        for key in ["status", "errorMessage", "metadata"] {
            assert_eq!(entry.get(key), Some(&sent[key]), "{name}: {key}");
        }
    }
}

#[tokio::test]
async fn captured_questions_are_answered_as_captured() {
    let emulator = start().await;
    let (model_id, run) = emulator.create_model_run(None, "run 1");
    let (got, captured) = replay(&emulator, "training_pipeline_query", &run).await;
    assert_eq!(got, captured);

    let config = json!({ "batch_size": 8, "learning_rate": 0.01 });
    assert!(emulator.set_config(&run, config.as_object().cloned()));
    for name in ["get_config", "update_config", "reset_config"] {
        let (got, captured) = replay(&emulator, name, &run).await;
        assert_eq!(got, captured, "{name}");
    }

    let (got, captured) = replay(&emulator, "get_model_run", &run).await;
    let (got, captured) = (&got["data"]["modelRun"], &captured["data"]["modelRun"]);
    for key in captured.as_object().expect("a run").keys() {
        assert!(got.get(key).is_some(), "{key} is missing in {got}");
    }
    assert_eq!(got["modelId"], json!(model_id));
    assert_eq!(
        got["createdAt"].as_str().map(str::len),
        Some("2024-01-01T00:00:00.000Z".len())
    );
}

#[tokio::test]
async fn an_unknown_run_is_not_found() {
    let emulator = start().await;
    let (_, run) = emulator.create_model_run(None, "run");
    assert!(emulator.delete_model_run(&run));
    for name in [
        "err_RESOURCE_NOT_FOUND",
        "err_resource_not_found_get",
        "update_config",
        "reset_config",
        "training_pipeline_query",
    ] {
        let (got, _) = replay(&emulator, name, &run).await;
        assert_eq!(code(&got), "RESOURCE_NOT_FOUND", "{name}");
        assert_eq!(got["data"], Value::Null, "{name}");
    }
}

#[tokio::test]
async fn metadata_merges_and_a_message_sticks_in_any_order_of_statuses() {
    let emulator = start().await;
    let (_, run) = emulator.create_model_run(None, "run");
    for data in [
        json!({ "status": "COMPLETE", "metadata": { "a": "1", "b": "1" } }),
        json!({ "status": "FAILED", "errorMessage": "broken" }),
        json!({ "status": "EXPORTING_DATA", "metadata": { "b": "2" } }),
    ] {
        let answer = ask(&emulator, "/_gql", &update(&run, data)).await;
        assert_eq!(answer.get("errors"), None);
    }
    let pipeline = emulator.pipeline(&run).expect("a run");
    let shown = json!({ "status": "EXPORTING_DATA", "errorMessage": "broken", "metadata": { "a": "1", "b": "2" } });
    assert_eq!(json!(pipeline), shown);
}

#[tokio::test]
async fn a_refused_update_changes_nothing() {
    let emulator = start().await;
    let (_, run) = emulator.create_model_run(None, "run");
    for data in [
        json!({}),
        json!(null),
        json!({ "status": "RUNNING" }),
        json!({ "status": "FAILED", "errorMessage": "é".repeat(256) }),
        json!({ "status": "FAILED", "errorMessage": null }),
        json!({ "status": "FAILED", "metadata": null }),
        json!({ "status": "FAILED", "metadata": { "epoch": 1 } }),
        json!({ "status": "FAILED", "reason": "unknown key" }),
    ] {
        let answer = ask(&emulator, "/_gql", &update(&run, data.clone())).await;
        assert!(!code(&answer).is_empty(), "{data}: {answer}");
    }
    assert_eq!(emulator.timeline(&run), []);
    let longest = json!({ "status": "FAILED", "errorMessage": "é".repeat(255) });
    let answer = ask(&emulator, "/_gql", &update(&run, longest)).await;
    assert_eq!(answer["data"]["updateTrainingPipeline"]["status"], "FAILED");
}
