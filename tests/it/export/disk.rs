//! Disks that are full, and folders that are gone.

use trainhook::emulator::{Dataset, Fault, FaultKind};

use super::{assert_digits, model, reason, start};
use crate::{full_disk::with_small_disk_for, support::skip};

/// An export that Labelbox prepares until the test says that it is done.
pub(super) fn prepares() -> Fault {
    let takes = FaultKind::Takes {
        milliseconds: 3_600_000,
    };
    Fault::once("exportDataRowsInModelRun", takes)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_waits_for_room_on_a_full_disk() {
    let model = model("digits", "true", "");
    let Some((stack, disk)) = with_small_disk_for("jobs", "1KB", &model).await else {
        return skip("an export onto a full disk: may not mount here");
    };
    stack.emulator.add_fault(prepares());
    let (run, id) = stack.click_with(&Dataset::digits(), "digits").await;
    stack.waits_for(&id, "Labelbox prepares the export").await;
    disk.fill();
    stack.emulator.finish_exports();
    stack.waits_for(&id, "it goes on once there is room").await;
    assert_eq!(stack.job(&id)["job"]["state"], "exporting");
    disk.make_room();
    stack.told(&run, "COMPLETE").await;
    assert_digits(&stack.job_dir(&id));
    assert_eq!(stack.emulator.export_tasks(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_somebody_removed_is_named() {
    let stack = start(&model("digits", "true", "")).await;
    stack.emulator.add_fault(prepares());
    let (run, id) = stack.click_with(&Dataset::digits(), "digits").await;
    stack.waits_for(&id, "Labelbox prepares the export").await;
    std::fs::remove_dir_all(stack.job_dir(&id)).expect("it is there");
    stack.emulator.finish_exports();
    let reason = reason(&stack, &run).await;
    assert!(
        reason.starts_with("cannot write the exported data: "),
        "{reason}"
    );
}
