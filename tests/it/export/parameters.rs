//! What people set in the run's own config in Labelbox, and what becomes of it.

use std::path::Path;

use serde_json::{Map, Value, json};
use trainhook::emulator::{Dataset, Timing};

use super::{model, read_json, reason, start};
use crate::support::stack::{Stack, job_id, settings, wait_until, workspace};

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
    let (run, id) = click_with_config(&stack, "texts", config.clone()).await;
    let timeline = stack.told(&run, "COMPLETE").await;
    let words = "the model run's config sets what is no parameter: epoch (did you mean epochs?), learning_raet (did you \
                 mean learning_rate?)";
    let job = stack.job(&id);
    let mut entries = job["timeline"].as_array().expect("a timeline").iter();
    let told = entries.find(|entry| entry["event"] == "settle");
    assert_eq!(told.expect("it is told")["detail"], words);
    // Whoever set it looks at the run in Labelbox, and a command may look at its request.
    let last = timeline.last().and_then(|last| last.metadata.clone());
    assert_eq!(last.expect("metadata")["config_warning"], words);
    let request = read_json(&stack.job_dir(&id).join("a1/request.json"));
    assert_eq!(request["labelbox_config_warning"], words);
    assert_eq!(request["labelbox_config"], config);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_without_near_misses_is_warned_of_nowhere() {
    let program = Path::new(env!("CARGO_BIN_EXE_trainhook"));
    let stack = Stack::start_timed(program, Timing::default(), |endpoint| {
        // A second click is another wish at once.
        let settings = settings().replacen("[server]", "[server]\nredelivery_window = \"0s\"", 1);
        let executor = "[executors.local]\nkind = \"local\"\n";
        let models = model("texts", "true", PARAMS);
        [
            &settings,
            &workspace("main", "/", endpoint),
            executor,
            &models,
        ]
        .concat()
    })
    .await;
    let misspelt = json!({ "epoch": 7 });
    let (run, _) = click_with_config(&stack, "texts", misspelt).await;
    stack.told(&run, "COMPLETE").await;
    let corrected = json!({ "epochs": 7, "notes": "by Ada", "lr": 1 });
    let corrected: Map<String, Value> = serde_json::from_value(corrected).expect("an object");
    assert!(stack.emulator.set_config(&run, Some(corrected)));
    let id = job_id(&stack.click(&run, "texts").await);
    wait_until("the second end", || {
        (stack.job(&id)["job"]["state"] == "succeeded").then_some(())
    })
    .await;
    assert!(!stack.job(&id)["timeline"].to_string().contains("settle"));
    let request = read_json(&stack.job_dir(&id).join("a1/request.json"));
    assert!(
        request.get("labelbox_config_warning").is_none(),
        "{request}"
    );
    // Labelbox forgets no key, so that of the first job is blanked.
    wait_until("the second report", || {
        let metadata = stack.emulator.pipeline(&run)?.metadata?;
        (metadata["trainhook_job"] == id.as_str() && metadata["config_warning"] == "").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_long_keys_make_a_short_warning() {
    let params = "params = { abcdefghij_klmnopqrst_abcdefghij_klmnopqrst_z = 1, alpha = 1, gamma = 1, kappa = 1, sigma = 1 }";
    let stack = start(&model("texts", "true", params)).await;
    let config = json!({
        "abcdefghij_klmnopqrst_abcdefghij_klmnopqrst_zz": 2, "alpa": 2, "gama": 2, "kapa": 2, "sigm": 2,
    });
    let (run, id) = click_with_config(&stack, "texts", config).await;
    stack.told(&run, "COMPLETE").await;
    let request = read_json(&stack.job_dir(&id).join("a1/request.json"));
    let warning = request["labelbox_config_warning"].as_str().expect("a text");
    assert!(
        warning.contains(": abcdefghij_klmnopqrst_abcdefghij_klmnopq… (did"),
        "{warning}"
    );
    assert!(
        warning.ends_with(", gama (did you mean gamma?), 2 more"),
        "{warning}"
    );
}
