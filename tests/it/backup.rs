//! The store in one file, and what a server makes of an older one.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::PathBuf};

use trainhook::emulator::{Fault, FaultKind, RecordedRequest};

use crate::support::stack::{
    LIMIT, Stack, UNTIL_GO, job_id, model, statuses, trainhook_in, wait_until,
};

/// How an update of a run's status, and the question for it, are called.
const UPDATE: &str = "updateTrainingPipeline";
const READ_BACK: &str = "trainingPipeline";

/// Every start of a command is noted; it runs until it may end.
const NOTED: &str =
    "echo $TRAINHOOK_MODEL_RUN_ID >> starts; while [ ! -e go ]; do sleep 0.05; done";

impl Stack {
    fn backup(&self) -> PathBuf {
        let file = self.folder.path().join("backup.db");
        self.trainhook(&["backup", "backup.db"]);
        file
    }

    /// Kills the server, puts the backup back, and starts the server again.
    async fn restore(&mut self) {
        self.server.kill();
        let told = self.trainhook(&["restore", "backup.db"]);
        assert!(told.contains("is kept as"), "{told}");
        self.restart().await;
    }

    fn starts(&self) -> BTreeMap<String, usize> {
        let mut starts = BTreeMap::new();
        for run in self.lines("starts") {
            *starts.entry(run).or_default() += 1;
        }
        starts
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_after_the_backup_is_followed_and_not_started_again() {
    let jobs = ["long", "other"].map(|slug| model(slug, NOTED, ""));
    let quick = model("quick", "echo $TRAINHOOK_MODEL_RUN_ID >> starts", "");
    let executor = "[executors.local]\nkind = \"local\"\nmax_running = 3\n";
    let mut stack = Stack::start_with(&format!("{executor}{}{quick}", jobs.concat())).await;
    let running = stack.new_run();
    let running_id = job_id(&stack.click(&running, "long").await);
    stack.wait_for_lines("starts", 1).await;
    stack.backup();
    // One begins after the backup and goes on, one begins and ends.
    let (begun, ended) = (stack.new_run(), stack.new_run());
    let begun_id = job_id(&stack.click(&begun, "other").await);
    let ended_id = job_id(&stack.click(&ended, "quick").await);
    stack.told(&ended, "COMPLETE").await;
    stack.told(&begun, "TRAINING_MODEL").await;

    stack.restore().await;
    stack.server.logged("restored from a backup").await;
    stack.go();
    for (run, id) in [
        (&running, &running_id),
        (&begun, &begun_id),
        (&ended, &ended_id),
    ] {
        let timeline = stack.told(run, "COMPLETE").await;
        assert_eq!(statuses(&timeline).last(), Some(&"COMPLETE"));
        wait_until("its end", || {
            (stack.job(id)["job"]["state"] == "succeeded").then_some(())
        })
        .await;
    }
    assert!(
        stack.starts().values().all(|count| *count == 1),
        "{:?}",
        stack.starts()
    );
    // The next start is like any other.
    stack.server.stop().await;
    stack.restart().await;
    assert!(!stack.server.log_text().contains("restored from a backup"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_at_the_backup_and_began_since_is_not_started_again() {
    let jobs = model("long", NOTED, "");
    let executor = "[executors.local]\nkind = \"local\"\nmax_running = 1\n";
    let mut stack = Stack::start_with(&format!("{executor}{jobs}")).await;
    let (first, _) = stack.click_in_turn("long").await;
    stack.wait_for_lines("starts", 1).await;
    let (second, _) = stack.click_in_turn("long").await;
    let (third, third_id) = stack.click_in_turn("long").await;
    stack.backup();
    stack.trainhook(&["jobs", "cancel", &third_id]);
    stack.go();
    stack.told(&second, "COMPLETE").await;
    stack.told(&third, "FAILED").await;
    stack.restore().await;
    for (run, status) in [(first, "COMPLETE"), (second, "COMPLETE"), (third, "FAILED")] {
        // Told once before the restore, and read back or told again after it.
        let timeline = stack.told(&run, status).await;
        assert_eq!(statuses(&timeline).last(), Some(&status));
    }
    let (last, _) = stack.click_in_turn("long").await;
    stack.told(&last, "COMPLETE").await;
    assert!(
        stack.starts().values().all(|count| *count == 1),
        "{:?}",
        stack.starts()
    );
    assert_eq!(stack.starts().len(), 3, "the cancelled one never began");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_final_is_read_back_before_it_is_sent_again() {
    let mut stack = Stack::start(&model("quick", UNTIL_GO, "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "quick").await);
    stack.told(&run, "TRAINING_MODEL").await;
    stack.emulator.add_fault(Fault {
        operation: Some(UPDATE.to_owned()),
        times: u32::MAX,
        kind: FaultKind::DropBefore,
    });
    stack.go();
    wait_until("the end of the job", || {
        (stack.job(&id)["job"]["state"] == "succeeded").then_some(())
    })
    .await;
    stack.backup();
    stack.emulator.clear_faults();
    let told = stack.told(&run, "COMPLETE").await.len();
    let read_before = stack.emulator.requests().len();
    stack.restore().await;
    let is_read_back = |requests: &[RecordedRequest]| {
        let fields = requests[read_before..].iter();
        fields
            .filter_map(|request| request.root_field.as_deref())
            .any(|field| field == READ_BACK)
    };
    let read = stack.emulator.wait_for_requests(LIMIT, is_read_back).await;
    read.expect("the final is read back");
    let next = stack.new_run();
    stack.click(&next, "quick").await;
    stack.told(&next, "COMPLETE").await;
    assert_eq!(
        stack.emulator.timeline(&run).len(),
        told,
        "nothing was sent again"
    );

    // Had Labelbox never heard of it, it would be told.
    let lost = stack.new_run();
    stack.emulator.add_fault(Fault {
        operation: Some(UPDATE.to_owned()),
        times: u32::MAX,
        kind: FaultKind::DropBefore,
    });
    let id = job_id(&stack.click(&lost, "quick").await);
    wait_until("the end of the job", || {
        (stack.job(&id)["job"]["state"] == "succeeded").then_some(())
    })
    .await;
    stack.backup();
    stack.server.kill();
    stack.emulator.clear_faults();
    stack.trainhook(&["restore", "backup.db"]);
    stack.restart().await;
    stack.told(&lost, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_use_is_not_replaced() {
    let stack = Stack::start(&model("quick", "true", "")).await;
    let backup = stack.backup();
    let mode = fs::metadata(&backup)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let refused = trainhook_in(stack.folder.path(), &["restore", "backup.db"]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && told.contains("stop it"),
        "{told}"
    );
    let run = stack.new_run();
    stack.click(&run, "quick").await;
    stack.told(&run, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_backup_replaces_nothing() {
    let mut stack = Stack::start(&model("quick", "true", "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "quick").await);
    stack.told(&run, "COMPLETE").await;
    let backup = stack.backup();
    let whole = fs::read(&backup).expect("it is there");
    stack.server.stop().await;
    let damaged = [
        b"no database".to_vec(),
        whole[..whole.len() / 2].to_vec(),
        Vec::new(),
    ];
    for bytes in damaged {
        fs::write(&backup, bytes).expect("it is writable");
        let refused = trainhook_in(stack.folder.path(), &["restore", "backup.db"]);
        assert!(!refused.status.success());
    }
    stack.restart().await;
    assert_eq!(stack.job(&id)["job"]["state"], "succeeded");
}
