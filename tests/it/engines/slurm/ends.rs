//! How jobs end.

use serde_json::Value;

use super::{message, slurm};
use crate::support::stack::{UNTIL_GO, job_id, model, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_cancels_has_failed_and_says_so() {
    let Some(slurm) = slurm().await else { return };
    let stack = slurm.stack("", &model("job", UNTIL_GO, "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    slurm.run("scancel", &["--partition=main"]);
    stack.told(&run, "FAILED").await;
    let job = stack.job(&id);
    assert!(message(&job).contains("cancelled in Slurm"), "{job}");
    assert_eq!(
        stack.lines("runs"),
        ["1"],
        "nobody starts again what was cancelled"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_timeout_ends_a_job_on_slurm() {
    let Some(slurm) = slurm().await else { return };
    let settings = "run_timeout = \"1s\"\ncancel_grace = \"1s\"";
    let stack = slurm.stack("", &model("job", UNTIL_GO, settings)).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "FAILED").await;
    assert_eq!(stack.job(&id)["job"]["cause"], "run_timeout");
}

const TRIED_AGAIN: &str =
    "echo $TRAINHOOK_ATTEMPT >> runs; while [ $TRAINHOOK_ATTEMPT = 1 ]; do sleep 0.05; done";

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_lost_is_told_apart_and_the_job_tried_again() {
    let Some(slurm) = slurm().await else { return };
    let model = model(
        "job",
        TRIED_AGAIN,
        "retry = { max = 1, backoff = \"10ms\" }",
    );
    let stack = slurm.stack("args = [\"--nodelist=node1\"]", &model).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    let node = |state: &str| {
        let state = format!("state={state}");
        slurm.run(
            "scontrol",
            &["update", "nodename=node1", &state, "reason=test"],
        );
    };
    node("down");
    let lost = || {
        stack
            .job(&id)
            .to_string()
            .contains("ended: node_lost")
            .then_some(())
    };
    wait_until("the loss", lost).await;
    node("resume");
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_preempted_is_told_apart_and_tried_again() {
    let Some(slurm) = slurm().await else { return };
    let model = model(
        "job",
        TRIED_AGAIN,
        "retry = { max = 1, backoff = \"10ms\" }",
    );
    let stack = slurm.stack("", &model).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    let urgent = [
        "--partition=urgent",
        "--nodes=2",
        "--exclusive",
        "--output=/dev/null",
        "--wrap=sleep 1",
    ];
    assert!(slurm.run("sbatch", &urgent).status.success());
    stack.told(&run, "COMPLETE").await;
    let job = stack.job(&id);
    assert!(job.to_string().contains("ended: preempted"), "{job}");
    assert_eq!(stack.lines("runs"), ["1", "2"]);
}

/// This Slurm has no cgroups, and so no limit of memory that it could enforce: the command is killed as the kernel would
/// kill it, and the word for it is put into the mouth of the real `squeue`.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_that_slurm_calls_out_of_memory_is_told_apart() {
    let Some(slurm) = slurm().await else { return };
    let words =
        "case $* in *squeue*) \"$@\" | sed s,/FAILED/,/OUT_OF_MEMORY/, ;; *) exec \"$@\" ;; esac";
    let prefix = format!(
        "command_prefix = [\"sh\", \"-c\", {}, \"words\"]\naccounting = false",
        Value::from(words)
    );
    let script = "echo $TRAINHOOK_ATTEMPT >> runs; kill -KILL $$";
    let settings = "retry = { max = 1, backoff = \"10ms\" }";
    let stack = slurm.stack(&prefix, &model("job", script, settings)).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "FAILED").await;
    let job = stack.job(&id);
    assert_eq!(job["job"]["cause"], "out_of_memory", "{job}");
    assert!(message(&job).starts_with("out of memory"), "{job}");
    assert_eq!(stack.lines("runs"), ["1"], "more of the same does not help");
}
