//! What becomes of a click: which job answers it, and that it is on disk before the answer.

mod redelivery;
mod refusals;
mod workspaces;

use std::fs;

use serde_json::Value;

use crate::support::{
    clicks::{accepted, body_for, post},
    stack::{Stack, UNTIL_GO, model},
};

/// Every job that the server knows.
fn jobs(stack: &Stack) -> Vec<Value> {
    let list = stack.trainhook(&["jobs", "list", "--json"]);
    let list: Value = serde_json::from_str(&list).expect("JSON");
    list["jobs"].as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_lies_beside_the_job_byte_for_byte() {
    let stack = Stack::start(&model(
        "digits",
        "cp \"$TRAINHOOK_JOB_DIR/webhook.json\" seen",
        "",
    ))
    .await;
    let run = stack.new_run();
    let body = format!(
        "\r\n {{\t\"modelType\" :\"digits\" , \"später\": [1.0, 1e2,\"\\u00e9 é 手\"],\n\"modelRunId\":\"{run}\", \"modelType2\": null}} \n"
    );
    let (id, _) = accepted(&post(&stack, &body).await);
    stack.told(&run, "COMPLETE").await;
    let folder = stack.folder.path();
    let kept = fs::read(folder.join("jobs").join(id).join("webhook.json"));
    assert_eq!(kept.expect("the job's folder"), body.as_bytes());
    let seen = fs::read(folder.join("seen"));
    assert_eq!(seen.expect("the command's copy"), body.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_there_after_a_crash_right_behind_the_answer() {
    let script = "echo $TRAINHOOK_MODEL_RUN_ID >> runs";
    let mut stack = Stack::start(&model("digits", script, "")).await;
    let runs: Vec<String> = (0..3).map(|_| stack.new_run()).collect();
    let bodies: Vec<String> = runs.iter().map(|run| body_for(run, "digits")).collect();
    let posts = bodies.iter().map(|body| post(&stack, body));
    let answers = futures_util::future::join_all(posts).await;
    stack.server.kill();
    stack.restart().await;
    for (run, answer) in runs.iter().zip(&answers) {
        let (id, _) = accepted(answer);
        stack.told(run, "COMPLETE").await;
        assert_eq!(stack.job(&id)["job"]["modelRunId"], run.as_str());
    }
    let (mut ran, mut wanted) = (stack.lines("runs"), runs);
    ran.sort();
    wanted.sort();
    assert_eq!(ran, wanted, "each command once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_job_keeps_what_models_toml_said_when_it_was_accepted() {
    let mut stack = Stack::start(&model("digits", UNTIL_GO, "")).await;
    let run = stack.new_run();
    let (id, _) = accepted(&post(&stack, &body_for(&run, "digits")).await);
    stack.wait_for_lines("runs", 1).await;
    stack.server.kill();
    let file = stack.folder.path().join("models.toml");
    let text = fs::read_to_string(&file).expect("models.toml");
    let renamed = text.replace("[models.digits]", "[models.letters]");
    fs::write(&file, renamed).expect("the folder is writable");
    stack.restart().await;
    stack.go();
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.job(&id)["job"]["model"], "digits");
}
