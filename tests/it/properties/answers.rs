//! Labelbox's answers, and whatever answers in its place: understood, or an error in one bounded line.

use std::{fs, path::Path};

use proptest::{
    prelude::{Just, Strategy, prop_oneof},
    sample::select,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use trainhook::job::PipelineStatus;

use super::{always, bytes, damaged, json};
use crate::{
    labelbox_client::{Fixture, KEY, model_run_id, report},
    support::scripted::Reply,
};

/// The bodies of all answers that were captured.
fn captured() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/labelbox");
    let files = fs::read_dir(folder).expect("the captures");
    let bodies = files.flat_map(|file| {
        let text = fs::read_to_string(file.expect("a file").path()).expect("a capture");
        let capture: Value = serde_json::from_str(&text).expect("JSON");
        let requests = capture["requests"].as_array().cloned().unwrap_or_default();
        requests
            .into_iter()
            .map(|request| request["reply"]["body"].to_string().into_bytes())
    });
    bodies.collect()
}

fn replies() -> impl Strategy<Value = Reply> {
    let error = (json(), json(), json()).prop_map(|(message, code, exception)| {
        let extensions = json!({"code": code, "exception": exception});
        json!({"errors": [{"message": message, "extensions": extensions}], "data": null})
    });
    let data = (
        select(vec![
            "modelRun",
            "trainingPipeline",
            "updateTrainingPipelineStatus",
        ]),
        json(),
    )
        .prop_map(|(field, value)| json!({"data": {field: value}}));
    let body = prop_oneof![
        3 => damaged(select(captured())),
        1 => error.prop_map(|value| value.to_string().into_bytes()),
        1 => data.prop_map(|value| value.to_string().into_bytes()),
        1 => (json(), json()).prop_map(|(data, errors)| {
            json!({"data": data, "errors": errors, "message": KEY}).to_string().into_bytes()
        }),
        1 => bytes(),
    ];
    let status = prop_oneof![3 => Just(200), 2 => 200..600u16];
    (status, body).prop_map(|(status, body)| Reply::bytes(status, body))
}

#[test]
fn every_answer_is_understood_or_named_in_one_line() {
    let runtime = Runtime::new().expect("a runtime");
    always((replies(), 0..3), |(reply, call)| {
        let error = runtime.block_on(async {
            let fixture = Fixture::new([reply]).await;
            match call {
                0 => fixture.labelbox.model_run(&model_run_id()).await.err(),
                1 => fixture
                    .labelbox
                    .update_status(&model_run_id(), &report(PipelineStatus::TrainingModel))
                    .await
                    .err(),
                _ => fixture.labelbox.read_pipeline(&model_run_id()).await.err(),
            }
        });
        if let Some(error) = error {
            assert!(!error.message.contains(KEY), "{error:?}");
            assert!(error.message.chars().count() <= 2_000, "{error:?}");
            assert!(!error.message.contains(char::is_control), "{error:?}");
        }
    });
}
