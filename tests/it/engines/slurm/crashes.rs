//! kill -9 on the server, and on Slurm's own daemons.

use std::fs;

use serde_json::Value;

use super::{Slurm, slurm, state, wait_for_state};
use crate::support::stack::{UNTIL_GO, job_id, model, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_controller_ends_no_job() {
    let Some(slurm) = slurm().await else { return };
    let stack = slurm
        .stack("call_timeout = \"3s\"", &model("job", UNTIL_GO, ""))
        .await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    slurm.save().await;
    slurm.script("crash");
    stack.go();
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"], "{}", stack.job(&id));
}

/// The server dies when Slurm has taken the job and has not answered yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_while_it_submits_finds_the_job_again() {
    let Some(slurm) = slurm().await else { return };
    let slow = "case $* in *sbatch*) \"$@\"; touch submitted; while [ -e hold ]; do sleep 0.05; done ;; \
                *) exec \"$@\" ;; esac";
    let slow = Value::from(slow);
    let prefix = format!("command_prefix = [\"sh\", \"-c\", {slow}, \"slow\"]");
    let mut stack = slurm.stack(&prefix, &model("job", UNTIL_GO, "")).await;
    let hold = stack.folder.path().join("hold");
    fs::write(&hold, "").expect("the folder is writable");
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let submitted = stack.folder.path().join("submitted");
    wait_until("the submit", || submitted.exists().then_some(())).await;
    assert_eq!(state(&stack, &id), "submitting");
    stack.server.kill();
    fs::remove_file(hold).expect("it is there");
    fs::remove_file(&submitted).expect("it is there");
    stack.restart().await;
    wait_for_state(&stack, &id, "running").await;
    stack.go();
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"]);
    assert!(!submitted.exists(), "it was found, not submitted again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_while_a_job_waits_or_runs_follows_it() {
    let Some(slurm) = slurm().await else { return };
    slurm.fill("others");
    let mut stack = slurm.stack("", &model("job", UNTIL_GO, "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    wait_for_state(&stack, &id, "pending").await;
    stack.server.kill();
    stack.restart().await;
    slurm.run("scancel", &["--name=others"]);
    stack.wait_for_lines("runs", 1).await;
    wait_for_state(&stack, &id, "running").await;
    stack.server.kill();
    stack.go();
    stack.restart().await;
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"]);
}

/// The number of the only job of that name.
fn number(slurm: &Slurm, name: &str) -> String {
    let name = format!("--name={name}");
    let listed = slurm.run("squeue", &["--noheader", "--format=%i", &name]);
    String::from_utf8_lossy(&listed.stdout).trim().to_owned()
}

/// What was submitted since the controller has last written its jobs down is forgotten, and its number is given again.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_a_crash_of_the_controller_forgot_is_tried_again_and_its_numbers_next_owner_left_alone()
 {
    let Some(slurm) = slurm().await else { return };
    // Long enough that the stranger comes first.
    let settings = "retry = { max = 1, backoff = \"8s\" }";
    let script = "echo $TRAINHOOK_ATTEMPT >> runs";
    let stack = slurm
        .stack("call_timeout = \"3s\"", &model("job", script, settings))
        .await;
    slurm.fill("others");
    slurm.save().await;
    slurm.script("remember");
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    wait_for_state(&stack, &id, "pending").await;
    let launch = format!("th-{}-a1", id.replace('-', ""));
    let ours = number(&slurm, &launch);
    slurm.script("forget");
    let arguments = [
        "--job-name=stranger",
        "--output=/dev/null",
        "--wrap=sleep 600",
    ];
    assert!(slurm.run("sbatch", &arguments).status.success());
    let strangers = number(&slurm, "stranger");
    assert_eq!(strangers, ours, "the number was given again");
    slurm.run("scancel", &["--name=others"]);
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["2"], "{}", stack.job(&id));
    assert_eq!(number(&slurm, "stranger"), strangers, "it lives");
    slurm.run("scancel", &["--name=stranger"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_nodes_daemons_ends_no_job() {
    let Some(slurm) = slurm().await else { return };
    let stack = slurm.stack("", &model("job", UNTIL_GO, "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    wait_for_state(&stack, &id, "running").await;
    slurm.script("crash-nodes");
    assert_eq!(state(&stack, &id), "running");
    stack.go();
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"], "{}", stack.job(&id));
}
