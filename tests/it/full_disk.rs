//! Full disks: nobody is told a lie, the server lives, and room cures everything.

use std::{collections::BTreeSet, fs, io::Write, path::PathBuf, process::Command};

use futures_util::future::join_all;
use serde_json::Value;

use crate::support::{
    clicks::{body_for, post, readiness},
    skip,
    stack::{Stack, UNTIL_GO, job_id, model, settings, statuses, workspace},
};

/// Ends well at one sign, and at the other with what its last file says.
const WRITER: &str = "while [ ! -e go ]; do sleep 0.05; \
    if [ -e go-wrong ]; then head -c 100000 /dev/zero > $TRAINHOOK_OUT_DIR/model; exit 1; fi; done";

/// A small disk, unmounted when it is dropped.
pub(crate) struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// None where we may not mount.
    fn mount_at(path: PathBuf) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(&path);
        let mounted = mount.status().is_ok_and(|status| status.success());
        mounted.then_some(Self { path })
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Takes what is left, to the last byte.
    pub(crate) fn fill(&self) {
        let mut file = fs::File::create(self.ballast()).expect("a file");
        for size in [64 * 1024, 4096, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    pub(crate) fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("it is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _best_effort = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// A server of one slot that has this folder on a small disk; none where we may not mount. The disk is
/// dropped first.
async fn with_small_disk_at(folder: &str, min_free: &str) -> Option<(Stack, SmallDisk)> {
    let unlimited = "max_queued = \"none\"\nmax_starts_per_day = \"none\"";
    let models = model("job", UNTIL_GO, unlimited) + &model("writer", WRITER, "");
    with_small_disk_for(folder, min_free, &models).await
}

/// The same, with other models.
pub(crate) async fn with_small_disk_for(
    folder: &str,
    min_free: &str,
    models: &str,
) -> Option<(Stack, SmallDisk)> {
    let mut stack = Stack::start_whole(|endpoint| {
        let min_free = format!("[server]\nmin_free = \"{min_free}\"");
        let settings = settings().replace("[server]", &min_free);
        let executor = "[executors.local]\nkind = \"local\"\nmax_running = 1\n";
        settings + &workspace("main", "/", endpoint) + executor + models
    })
    .await;
    stack.server.stop().await;
    let disk = SmallDisk::mount_at(stack.folder.path().join(folder))?;
    stack.restart().await;
    Some((stack, disk))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_room_accepts_nothing_and_recovers_by_itself() {
    let Some((stack, disk)) = with_small_disk_at("state", "0B").await else {
        return skip("a full disk under the store: no disk can be mounted here");
    };
    let (first, second) = (stack.new_run(), stack.new_run());
    stack.click(&first, "job").await;
    stack.wait_for_lines("runs", 1).await;
    stack.told(&first, "TRAINING_MODEL").await;

    disk.fill();
    // The log of the store may still have some room in its last page: it is used up by clicks.
    let mut refused = None;
    for _ in 0..2000 {
        let answer = stack.click(&stack.new_run(), "job").await;
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a full disk is noticed");
    assert_eq!(refused.status, 503, "{refused:?}");
    stack.go();

    disk.make_room();
    let id = job_id(&stack.click(&second, "job").await);
    let timeline = stack.told(&first, "COMPLETE").await;
    assert_eq!(statuses(&timeline).last(), Some(&"COMPLETE"));
    stack.told(&second, "COMPLETE").await;
    assert_eq!(stack.job(&id)["job"]["state"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_clicks_at_once_on_a_disk_that_fills_up_each_is_told_the_truth() {
    let Some((mut stack, disk)) = with_small_disk_at("state", "0B").await else {
        return skip("clicks at once on a full disk: no disk can be mounted here");
    };
    disk.fill();
    let (mut yes, mut no) = (BTreeSet::new(), BTreeSet::new());
    while no.is_empty() {
        let runs: Vec<String> = (0..40).map(|_| stack.new_run()).collect();
        let bodies: Vec<String> = runs.iter().map(|run| body_for(run, "job")).collect();
        let answers = bodies.iter().map(|body| post(&stack, body));
        for (run, answer) in runs.into_iter().zip(join_all(answers).await) {
            match answer.status {
                200 => yes.insert(run),
                503 => no.insert(run),
                _ => panic!("{answer:?}"),
            };
        }
        assert!(yes.len() < 4000, "a full disk is noticed");
    }
    disk.make_room();
    stack.server.kill();
    stack.restart().await;
    let listed = stack.trainhook(&["jobs", "list", "--limit", "1000", "--json"]);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let jobs = listed["jobs"].as_array().expect("a list");
    let run = |job: &Value| job["modelRunId"].as_str().map(str::to_owned);
    let stored: BTreeSet<String> = jobs.iter().filter_map(run).collect();
    assert_eq!(stored, yes, "refused: {no:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_under_a_command_does_not_hide_how_it_ended() {
    let Some((stack, disk)) = with_small_disk_at("jobs", "0B").await else {
        return skip("a disk that fills up under a command: no disk can be mounted here");
    };
    for (script_ends, status) in [("go", "COMPLETE"), ("go-wrong", "FAILED")] {
        let run = stack.new_run();
        stack.click(&run, "writer").await;
        stack.told(&run, "TRAINING_MODEL").await;
        disk.fill();
        fs::write(stack.folder.path().join(script_ends), "").expect("another disk");
        let timeline = stack.told(&run, status).await;
        let last = timeline.last().and_then(|last| last.error_message.clone());
        let says_why = last.unwrap_or_default().contains("No space left");
        assert_eq!(says_why, status == "FAILED", "{timeline:?}");
        fs::remove_file(stack.folder.path().join(script_ends)).expect("it is there");
        disk.make_room();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_directory_without_room_fails_its_job_and_no_other() {
    let Some((stack, disk)) = with_small_disk_at("jobs", "0B").await else {
        return skip("a full disk under the job directories: no disk can be mounted here");
    };
    stack.go();
    disk.fill();
    let run = stack.new_run();
    stack.click(&run, "job").await;
    let timeline = stack.told(&run, "FAILED").await;
    let last = timeline
        .last()
        .and_then(|entry| entry.error_message.clone());
    let message = last.expect("a message");
    assert!(
        message.contains("job directory") && message.contains("No space left"),
        "{message}"
    );
    assert!(stack.lines("runs").is_empty(), "nothing was started");
    disk.make_room();
    let next = stack.new_run();
    stack.click(&next, "job").await;
    stack.told(&next, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn below_min_free_clicks_are_accepted_and_nothing_starts() {
    let Some((stack, disk)) = with_small_disk_at("jobs", "500KB").await else {
        return skip("too little room for a job: no disk can be mounted here");
    };
    stack.go();
    disk.fill();
    stack.server.logged("nothing new starts").await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "EXPORTING_DATA").await;
    let ready = readiness(&stack).await;
    assert_eq!(ready.status, 503, "{ready:?}");
    assert!(ready.body.contains("min_free"), "{ready:?}");
    let waiting = stack.job(&id)["job"]["waiting"].to_string();
    assert!(waiting.contains("min_free"), "{waiting}");
    assert!(stack.lines("runs").is_empty());
    disk.make_room();
    stack.told(&run, "COMPLETE").await;
    assert_eq!(readiness(&stack).await.status, 200);
}
