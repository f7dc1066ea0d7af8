//! What people, commands and operators see.

use std::fs;

use super::{message, slurm, state};
use crate::support::stack::{UNTIL_GO, job_id, model, trainhook_in, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_partition_is_told_as_the_waiting_reason() {
    let Some(slurm) = slurm().await else { return };
    slurm.fill("others");
    let stack = slurm.stack("", &model("job", "true", "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let reasons = [
        "partition main is full",
        "others come first in partition main",
    ];
    wait_until("the reason", || {
        let waiting = stack.job(&id)["job"]["waiting"].clone();
        waiting
            .as_str()
            .filter(|text| reasons.contains(text))
            .map(|_| ())
    })
    .await;
    assert_eq!(state(&stack, &id), "pending");
    slurm.run("scancel", &["--name=others"]);
    stack.told(&run, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_reaches_all_its_nodes_with_srun() {
    let Some(slurm) = slurm().await else { return };
    let script = "srun sh -c 'echo $SLURMD_NODENAME $ONE >> nodes'";
    let settings = "env = { ONE = \"1\" }\nslurm = { nodes = 2 }";
    let stack = slurm.stack("", &model("job", script, settings)).await;
    let run = stack.new_run();
    stack.click(&run, "job").await;
    stack.told(&run, "COMPLETE").await;
    let mut nodes = stack.lines("nodes");
    nodes.sort();
    assert_eq!(nodes, ["node1 1", "node2 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn slurm_shows_no_secret() {
    let Some(slurm) = slurm().await else { return };
    let settings = "env = { TOKEN = { file = \"token\" } }";
    let stack = slurm
        .stack(
            "",
            &model("job", &format!("echo $TOKEN > got; {UNTIL_GO}"), settings),
        )
        .await;
    let secret = "a secret of the model";
    fs::write(stack.folder.path().join("token"), secret).expect("the folder is writable");
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    assert_eq!(stack.lines("got"), [secret]);
    let number = stack
        .folder
        .path()
        .join("jobs")
        .join(&id)
        .join("a1/.slurm-environment");
    assert!(!number.exists(), "it was read, and is gone");
    let listed = slurm.run("squeue", &["--noheader", "--format=%i"]);
    let number = String::from_utf8_lossy(&listed.stdout).trim().to_owned();
    let shown = slurm.run("scontrol", &["show", "job", "--details", &number]);
    let script = slurm.run("scontrol", &["write", "batch_script", &number, "-"]);
    for output in [shown, script] {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!text.is_empty() && !text.contains(secret), "{text}");
    }
    stack.go();
    stack.told(&run, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_slurm_refuses_are_the_reason_people_read() {
    let Some(slurm) = slurm().await else { return };
    let stack = slurm
        .stack(
            "",
            &model("job", "true", "slurm = { partition = \"nope\" }"),
        )
        .await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "FAILED").await;
    let job = stack.job(&id);
    assert_eq!(job["job"]["cause"], "rejected", "{job}");
    assert!(message(&job).contains("Invalid partition name"), "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_asks_slurm_for_its_partitions() {
    let Some(slurm) = slurm().await else { return };
    let stack = slurm
        .stack("partition = \"main\"", &model("job", "true", ""))
        .await;
    let output = trainhook_in(stack.folder.path(), &["doctor"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("partitions main, urgent"), "{text}");
}
