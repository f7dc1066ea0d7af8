//! Full disks: nobody is told a lie, the server lives, and room cures everything.

use std::{fs, io::Write, path::PathBuf, process::Command};

use crate::support::{
    clicks::readiness,
    skip,
    stack::{Stack, UNTIL_GO, job_id, model, settings, statuses, workspace},
};

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
    with_small_disk_for(folder, min_free, &model("job", UNTIL_GO, "")).await
}

/// The same, with another model.
pub(crate) async fn with_small_disk_for(
    folder: &str,
    min_free: &str,
    model: &str,
) -> Option<(Stack, SmallDisk)> {
    let mut stack = Stack::start_whole(|endpoint| {
        let min_free = format!("[server]\nmin_free = \"{min_free}\"");
        let settings = settings().replace("[server]", &min_free);
        let executor = "[executors.local]\nkind = \"local\"\nmax_running = 1\n";
        settings + &workspace("main", "/", endpoint) + executor + model
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
