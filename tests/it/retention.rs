//! What is removed of jobs that have ended, and what never is.

use std::path::PathBuf;

use crate::support::stack::{Stack, job_id, model, settings, wait_until, workspace};

async fn server_with(retention: &str, script: &str) -> Stack {
    Stack::start_whole(|endpoint| {
        let executor = "[executors.local]\nkind = \"local\"\n";
        let retention = format!("[retention]\n{retention}\n");
        let (workspace, model) = (workspace("main", "/", endpoint), model("job", script, ""));
        settings() + &retention + &workspace + executor + &model
    })
    .await
}

impl Stack {
    /// Has a job run to its end; answers its id and its folder.
    async fn completed(&self) -> (String, PathBuf) {
        let run = self.new_run();
        let id = job_id(&self.click(&run, "job").await);
        self.told(&run, "COMPLETE").await;
        let folder = self.folder.path().join("jobs").join(&id);
        (id, folder)
    }

    /// Waits until something of a job was removed; answers what.
    async fn pruned(&self, id: &str) -> String {
        wait_until("the removal", || {
            let shown = self.job(id);
            let lines = shown["timeline"].as_array()?.clone();
            let line = lines.into_iter().find(|line| line["event"] == "pruned")?;
            Some(line["detail"].as_str()?.to_owned())
        })
        .await
    }
}

const LEAVE_ALL: &str = "echo done; echo w > $TRAINHOOK_CHECKPOINT_DIR/weights; mkdir $TRAINHOOK_OUT_DIR/model; \
                         echo m > $TRAINHOOK_OUT_DIR/model/m";

#[tokio::test(flavor = "multi_thread")]
async fn old_parts_go_and_what_keeps_a_job_from_a_second_start_stays() {
    let ages = "data = \"0s\"\ncheckpoint = \"0s\"\nlogs = \"0s\"\nkeep = 0\nevery = \"50ms\"";
    let stack = server_with(ages, LEAVE_ALL).await;
    let (id, folder) = stack.completed().await;
    assert_eq!(stack.pruned(&id).await, "data, checkpoint, logs");
    for gone in ["data", "a1/checkpoint", "a1/log", "a1/events.ndjson"] {
        assert!(!folder.join(gone).exists(), "{gone}");
    }
    for kept in [
        "a1/claim.json",
        "a1/exit.json",
        "a1/request.json",
        "a1/out/model/m",
        "webhook.json",
    ] {
        assert!(folder.join(kept).exists(), "{kept}");
    }
    // What is gone is no error for whoever asks for it.
    assert_eq!(stack.trainhook(&["jobs", "logs", &id]), "");
    stack.completed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_jobs_of_a_model_keep_everything() {
    let stack = server_with("checkpoint = \"0s\"\nkeep = 2\nevery = \"50ms\"", LEAVE_ALL).await;
    let (oldest, _) = stack.completed().await;
    let (_, second) = stack.completed().await;
    let (_, third) = stack.completed().await;
    stack.pruned(&oldest).await;
    for kept in [second, third] {
        assert!(kept.join("a1/checkpoint/weights").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_removes_nothing_and_a_person_need_not_wait() {
    let stack = server_with("checkpoint = \"0s\"\nkeep = 0", LEAVE_ALL).await;
    let (id, folder) = stack.completed().await;
    let told = stack.trainhook(&["jobs", "prune", "--dry-run"]);
    assert!(
        told.contains(&id) && told.contains("would be removed"),
        "{told}"
    );
    assert!(folder.join("a1/checkpoint/weights").exists());
    let told = stack.trainhook(&["jobs", "prune"]);
    assert!(told.contains("are being removed"), "{told}");
    assert_eq!(stack.pruned(&id).await, "checkpoint");
    assert!(!folder.join("a1/checkpoint").exists());
    let told = stack.trainhook(&["jobs", "prune"]);
    assert!(told.contains("nothing is older"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_link_that_a_command_planted_is_followed() {
    let plant = "mkdir -p precious/log precious/checkpoint; echo p > precious/log/p; echo p > precious/checkpoint/p; \
                 ln -s $PWD/precious $TRAINHOOK_JOB_DIR/../a7; rmdir $TRAINHOOK_CHECKPOINT_DIR; \
                 ln -s $PWD/precious/checkpoint $TRAINHOOK_CHECKPOINT_DIR; \
                 ln -s $PWD/precious/log $TRAINHOOK_JOB_DIR/log/more";
    let ages = "data = \"0s\"\ncheckpoint = \"0s\"\nlogs = \"0s\"\nkeep = 0\nevery = \"50ms\"";
    let stack = server_with(ages, plant).await;
    let (id, folder) = stack.completed().await;
    stack.pruned(&id).await;
    assert!(!folder.join("a1/checkpoint").is_symlink());
    for kept in ["log/p", "checkpoint/p"] {
        let kept = stack.folder.path().join("precious").join(kept);
        assert!(kept.exists(), "{}", kept.display());
    }
}
