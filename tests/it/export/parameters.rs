//! What people set in the run's own config in Labelbox, and what becomes of it.

use serde_json::{Map, Value, json};
use trainhook::emulator::Dataset;

use super::{model, read_json, reason, start};
use crate::support::stack::{Stack, job_id};

const PARAMS: &str = "params = { epochs = { default = 20, min = 1, max = 500 }, learning_rate = 0.1, optimizer = \
    { default = \"adam\", choices = [\"adam\", \"sgd\"] } }";

async fn click_with_config(stack: &Stack, model_type: &str, config: Value) -> (String, String) {
    let run = stack.run_with(&Dataset::generated(10, 300));
    let config: Map<String, Value> = serde_json::from_value(config).expect("an object");
    assert!(stack.emulator.set_config(&run, Some(config)));
    let id = job_id(&stack.click(&run, model_type).await);
    (run, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runs_own_config_outweighs_the_file_and_what_was_used_is_told_back() {
    let script = "echo $TRAINHOOK_PARAM_EPOCHS $TRAINHOOK_PARAM_LEARNING_RATE $TRAINHOOK_PARAM_OPTIMIZER > used";
    let stack = start(&model("texts", script, PARAMS)).await;
    let config = json!({ "epochs": 7, "learningRate": 0.5, "note": { "by": "Ada" } });
    let (run, id) = click_with_config(&stack, "texts", config).await;
    let timeline = stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("used"), ["7 0.5 adam"]);
    let request = read_json(&stack.job_dir(&id).join("a1/request.json"));
    assert_eq!(request["params"]["learning_rate"], 0.5);
    assert_eq!(
        request["labelbox_config"],
        json!({ "note": { "by": "Ada" } })
    );
    assert_eq!(request["data"]["training"], "data/training.ndjson");
    let told = timeline
        .last()
        .and_then(|last| last.metadata.clone())
        .expect("metadata");
    assert_eq!(told["param_epochs"], "7");
    assert_eq!(told["param_learning_rate"], "0.5");
    assert_eq!(told["param_optimizer"], "adam");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_that_cannot_be_used_fails_the_job_before_anything_is_exported() {
    let stack = start(&model("texts", "true", PARAMS)).await;
    for (config, words) in [
        (
            json!({ "epochs": "many" }),
            "sets epochs to \"many\", but it must be a whole number from 1 to 500",
        ),
        (
            json!({ "Epochs": 501 }),
            "sets Epochs to 501, but it must be a whole number from 1 to 500",
        ),
        (
            json!({ "optimizer": "rms" }),
            "sets optimizer to \"rms\", but it must be one of adam, sgd",
        ),
    ] {
        let (run, id) = click_with_config(&stack, "texts", config).await;
        let reason = reason(&stack, &run).await;
        assert!(reason.contains(words), "{reason}");
        assert_eq!(stack.job(&id)["job"]["cause"], "preflight");
    }
    assert_eq!(stack.emulator.export_tasks(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_needs_no_data_gets_its_parameters_all_the_same() {
    let script = "echo $TRAINHOOK_PARAM_EPOCHS > used";
    let models = crate::support::stack::model("plain", script, PARAMS);
    let stack = start(&models).await;
    let (run, id) = click_with_config(&stack, "plain", json!({ "epochs": 3 })).await;
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("used"), ["3"]);
    let request = read_json(&stack.job_dir(&id).join("a1/request.json"));
    assert!(request.get("data").is_none(), "{request}");
    assert_eq!(stack.emulator.export_tasks(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_nearly_a_parameter_is_told_and_fails_nothing() {
    let stack = start(&model("texts", "true", PARAMS)).await;
    let config = json!({ "epoch": 7, "learning_raet": 0.5, "notes": "by Ada", "lr": 1 });
    let (run, id) = click_with_config(&stack, "texts", config).await;
    stack.told(&run, "COMPLETE").await;
    let job = stack.job(&id);
    let mut timeline = job["timeline"].as_array().expect("a timeline").iter();
    let told = timeline.find(|entry| entry["event"] == "settle");
    assert_eq!(
        told.expect("it is told")["detail"],
        "the model run's config sets what is no parameter: epoch (did you mean epochs?), learning_raet (did you mean \
         learning_rate?)"
    );
    let config = json!({ "epochs": 7, "notes": "by Ada", "lr": 1 });
    let (run, id) = click_with_config(&stack, "texts", config).await;
    stack.told(&run, "COMPLETE").await;
    assert!(!stack.job(&id)["timeline"].to_string().contains("settle"));
}
