//! Slots and devices: how many jobs run, in which order, and on which GPUs.

use std::{fs, path::PathBuf};

use serde_json::Value;

use trainhook::emulator::{Fault, FaultKind};

use crate::support::{
    script::write_program,
    stack::{Stack, UNTIL_GO, job_id, model, settings, wait_until, workspace},
};

/// Notes its run and its devices, and runs until a file named after its run is there.
const UNTIL_CALLED: &str = "echo $TRAINHOOK_MODEL_RUN_ID $CUDA_VISIBLE_DEVICES >> runs; \
     while [ ! -e go.$TRAINHOOK_MODEL_RUN_ID ]; do sleep 0.02; done; echo end >> ends";

fn executor(settings: &str) -> String {
    format!("[executors.local]\nkind = \"local\"\n{settings}\n")
}

/// Lets the command of a run end.
fn call(stack: &Stack, run: &str) {
    fs::write(stack.folder.path().join(format!("go.{run}")), "").expect("the folder is writable");
}

async fn click_all(stack: &Stack, model_type: &str, count: usize) -> Vec<(String, String)> {
    let mut clicked = Vec::new();
    for _ in 0..count {
        clicked.push(stack.click_in_turn(model_type).await);
    }
    clicked
}

async fn waiting(stack: &Stack, id: &str) -> String {
    wait_until("the reason for waiting", || {
        let job = stack.job(id);
        let reason = job["job"]["waiting"].as_str().map(str::to_owned);
        reason.filter(|_| job["job"]["state"] == "queued")
    })
    .await
}

fn noted(lines: &[String]) -> Vec<(&str, &str)> {
    lines
        .iter()
        .map(|line| line.split_once(' ').unwrap_or((line, "")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_run_first_come_first_served_and_never_more_than_there_are_slots() {
    let stack =
        Stack::start_with(&(executor("max_running = 1") + &model("job", UNTIL_CALLED, ""))).await;
    let jobs = click_all(&stack, "job", 4).await;
    for (at, (run, _)) in jobs.iter().enumerate() {
        let started = stack.wait_for_lines("runs", at + 1).await;
        assert_eq!(started.len(), at + 1, "one at a time: {started:?}");
        assert_eq!(stack.lines("ends").len(), at, "one after the other");
        assert_eq!(noted(&started)[at].0, run);
        if let Some((_, next)) = jobs.get(at + 1) {
            let reason = waiting(&stack, next).await;
            assert!(
                reason.starts_with("position 1 in the queue of executor local: 1 of 1 slots"),
                "{reason}"
            );
        }
        call(&stack, run);
    }
    stack.told(&jobs[3].0, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_full_holds_up_no_other_model() {
    let narrow = model("narrow", UNTIL_CALLED, "max_running = 1");
    let stack = Stack::start_with(
        &(executor("max_running = 3") + &narrow + &model("other", UNTIL_CALLED, "")),
    )
    .await;
    let narrow = click_all(&stack, "narrow", 2).await;
    stack.wait_for_lines("runs", 1).await;
    let other = click_all(&stack, "other", 1).await;
    let started = stack.wait_for_lines("runs", 2).await;
    assert_eq!(noted(&started)[1].0, other[0].0);
    let reason = waiting(&stack, &narrow[1].1).await;
    assert!(reason.contains("max_running"), "{reason}");
    for (run, _) in narrow.iter().chain(&other) {
        call(&stack, run);
        stack.told(run, "COMPLETE").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_job_has_gpus_of_its_own_also_after_kill_9() {
    let model = model("job", UNTIL_CALLED, "resources = { gpus = 1 }");
    let mut stack = Stack::start_with(&(executor("max_running = 9\ngpus = [3, 5]") + &model)).await;
    let jobs = click_all(&stack, "job", 3).await;
    let started = stack.wait_for_lines("runs", 2).await;
    // Which of two jobs that start together writes its line first is the machine's affair.
    let mut started = noted(&started);
    started.sort_unstable_by_key(|(_, device)| *device);
    let [(first, "3"), (second, "5")] = started[..] else {
        panic!("not a device each: {started:?}");
    };
    let id_of = |run: &str| {
        jobs.iter()
            .find(|(other, _)| other == run)
            .map(|(_, id)| id)
    };
    let (third, waits) = jobs
        .iter()
        .find(|(run, _)| run != first && run != second)
        .expect("three");
    let reason = waiting(&stack, waits).await;
    assert!(reason.contains("free devices"), "{reason}");
    stack.server.kill();
    stack.restart().await;
    let kept = stack.job(id_of(second).expect("it was clicked"));
    assert_eq!(kept["job"]["devices"][0], 5);
    // The device that is freed now is the only one, and goes to the one that waits.
    call(&stack, second);
    stack.told(second, "COMPLETE").await;
    let runs = stack.wait_for_lines("runs", 3).await;
    assert_eq!(noted(&runs)[2], (third.as_str(), "5"));
    for run in [first, third] {
        call(&stack, run);
        stack.told(run, "COMPLETE").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_gpus_sees_none_of_the_executors() {
    let model = model("job", "echo devices=$CUDA_VISIBLE_DEVICES. >> runs", "");
    let stack = Stack::start_with(&(executor("gpus = [0]") + &model)).await;
    let (run, _) = click_all(&stack, "job", 1).await.remove(0);
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["devices=."]);
}

/// A program of the folder that is this script.
fn script_in(folder: &tempfile::TempDir, name: &str, script: &str) -> PathBuf {
    write_program(folder.path(), name, script)
}

/// The program, as a machine runs it on which programs are looked for in the folder, and then in `others`.
fn looking_in(folder: &tempfile::TempDir, others: &str) -> PathBuf {
    let (path, program) = (folder.path().display(), env!("CARGO_BIN_EXE_trainhook"));
    let start = format!("PATH={path}{others} exec {program} \"$@\"");
    script_in(folder, "trainhook", &start)
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_hands_out_the_gpus_that_the_driver_names() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    script_in(&folder, "nvidia-smi", "echo 0; echo 1");
    let program = looking_in(&folder, ":$PATH");
    let model = model("job", UNTIL_CALLED, "resources = { gpus = 2 }");
    let rest = executor("max_running = 2\ngpus = \"auto\"") + &model;
    let stack = Stack::start_program(&program, |endpoint| {
        settings() + &workspace("main", "/", endpoint) + &rest
    })
    .await;
    let jobs = click_all(&stack, "job", 1).await;
    let started = stack.wait_for_lines("runs", 1).await;
    assert_eq!(noted(&started)[0].1, "0,1");
    call(&stack, &jobs[0].0);
    stack.told(&jobs[0].0, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_hands_out_none_where_there_is_no_driver() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    // The shell is all that this machine has.
    std::os::unix::fs::symlink("/bin/sh", folder.path().join("sh")).expect("a link");
    let program = looking_in(&folder, "");
    let model = model("job", "echo devices=$CUDA_VISIBLE_DEVICES. >> runs", "");
    let rest = executor("gpus = \"auto\"") + &model;
    let stack = Stack::start_program(&program, |endpoint| {
        settings() + &workspace("main", "/", endpoint) + &rest
    })
    .await;
    let (run, _) = click_all(&stack, "job", 1).await.remove(0);
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["devices=."]);
}

#[test]
fn a_driver_that_fails_is_no_machine_without_gpus() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    script_in(&folder, "nvidia-smi", "exit 9");
    let program = looking_in(&folder, ":$PATH");
    let file = executor("gpus = \"auto\"") + &model("job", "true", "");
    fs::write(folder.path().join("models.toml"), file).expect("the folder is writable");
    let mut check = std::process::Command::new(program);
    let output = check.arg("check").current_dir(folder.path()).output();
    let output = output.expect("the program starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("nvidia-smi failed"), "{text}");
    assert_eq!(output.status.code(), Some(2), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_too_long_for_a_slot_fails_and_says_so() {
    let patient = model("patient", UNTIL_GO, "");
    let hasty = model("hasty", "echo run >> hasty", "queue_timeout = \"200ms\"");
    let stack = Stack::start_with(&(executor("max_running = 1") + &patient + &hasty)).await;
    let first = click_all(&stack, "patient", 1).await.remove(0);
    stack.wait_for_lines("runs", 1).await;
    let (run, id) = click_all(&stack, "hasty", 1).await.remove(0);
    let timeline = stack.told(&run, "FAILED").await;
    let message = timeline
        .last()
        .and_then(|entry| entry.error_message.clone())
        .unwrap_or_default();
    assert!(message.contains("queue_timeout"), "{message}");
    assert_eq!(stack.job(&id)["job"]["cause"], Value::from("queue_timeout"));
    stack.go();
    stack.told(&first.0, "COMPLETE").await;
    assert!(stack.lines("hasty").is_empty(), "it never ran");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_labelbox_counts_as_waiting() {
    let stack = Stack::start(&model("job", "echo run >> runs", "queue_timeout = \"1s\"")).await;
    let refuse = FaultKind::Status {
        status: 503,
        body: None,
        headers: Vec::new(),
    };
    stack
        .emulator
        .add_fault(Fault::times("modelRun", 1000, refuse));
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "FAILED").await;
    let job = stack.job(&id);
    assert_eq!(job["job"]["cause"], "queue_timeout", "{job}");
    assert!(stack.lines("runs").is_empty());
}
