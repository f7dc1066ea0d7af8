//! kill -9 while data is on its way: the same task goes on, with what is on disk already.

use std::{collections::BTreeSet, fs, time::Duration};

use serde_json::Value;

use trainhook::emulator::{Dataset, Fault, FaultKind, Timing};

use super::{assert_digits, disk::prepares, in_files_of, model, read_json, start, start_with};
use crate::{metrics::metrics, support::stack::wait_until};

const FILES: &str = "/files/exports";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_goes_on_behind_what_is_on_disk() {
    let mut stack = start_with("", in_files_of(100_000), &model("digits", "true", "")).await;
    let slow = FaultKind::Delay { milliseconds: 150 };
    stack.emulator.add_fault(Fault::times(FILES, 1000, slow));
    let (run, id) = stack.click_with(&Dataset::digits(), "digits").await;
    let dir = stack.job_dir(&id);
    let mut on_disk = 0;
    for pieces in [4, 8] {
        stack.fetched(pieces).await;
        stack.server.kill();
        let read = |name: &str| {
            let noted = fs::read(dir.join("server").join(name)).ok()?;
            let noted: Value = serde_json::from_slice(&noted).expect("JSON");
            noted["read"].as_u64()
        };
        let noted = read("export.json").max(read("export.unsynced.json"));
        on_disk = noted.expect("it was noted");
        // What was asked for last, or was on its way to the disk, may be lost; all before it is there.
        let pieces = stack.emulator.file_requests();
        let pieces: BTreeSet<_> = pieces.iter().collect();
        assert!(
            on_disk >= (pieces.len() as u64 - 2) * 100_000 - 2000,
            "{on_disk} of {pieces:?}"
        );
        stack.restart().await;
    }
    stack.told(&run, "COMPLETE").await;
    assert_digits(&dir);
    assert_eq!(stack.emulator.export_tasks(), 1);
    let all = read_json(&dir.join("data/manifest.json"))["exported_bytes"].clone();
    let fetched = metrics(&stack).await["trainhook_exported_bytes_total"];
    assert_eq!(fetched, all.as_f64().expect("a number") - on_disk as f64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_in_progress_outlives_the_server() {
    let mut stack = start(&model("digits", "true", "")).await;
    stack.emulator.add_fault(prepares());
    let (run, id) = stack.click_with(&Dataset::digits(), "digits").await;
    stack.waits_for(&id, "Labelbox prepares the export").await;
    stack.server.kill();
    stack.emulator.finish_exports();
    stack.restart().await;
    stack.told(&run, "COMPLETE").await;
    assert_digits(&stack.job_dir(&id));
    assert_eq!(stack.emulator.export_tasks(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_labelbox_began_and_nobody_noted_is_found_by_its_name() {
    let mut stack = start(&model("digits", "echo run >> runs", "")).await;
    let late = FaultKind::AnswerLate {
        milliseconds: 600_000,
    };
    let fault = Fault::once("exportDataRowsInModelRun", late);
    stack.emulator.add_fault(fault);
    let (run, id) = stack.click_with(&Dataset::digits(), "digits").await;
    let begun = || (stack.emulator.export_tasks() == 1).then_some(());
    wait_until("the task", begun).await;
    stack.server.kill();
    stack.restart().await;
    stack.told(&run, "COMPLETE").await;
    assert_digits(&stack.job_dir(&id));
    assert_eq!(stack.emulator.export_tasks(), 1);
    assert_eq!(stack.lines("runs"), ["run"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_are_on_disk_are_not_asked_for_again() {
    let takes = Timing {
        export_takes: Duration::from_secs(4),
        ..Timing::default()
    };
    let mut stack = start_with("", takes, &model("digits", "true", "")).await;
    let (run, id) = stack.click_with(&Dataset::digits(), "digits").await;
    let dir = stack.job_dir(&id);
    let state = dir.join("server/splits.json");
    let are_saved = || {
        let state = fs::read_to_string(&state).ok()?;
        state.contains("\"complete\":true").then_some(())
    };
    wait_until("the pages", are_saved).await;
    let pages = stack.asked("annotationGroups");
    stack.server.kill();
    stack.restart().await;
    stack.told(&run, "COMPLETE").await;
    assert_digits(&dir);
    assert_eq!(stack.asked("annotationGroups"), pages);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_lost_its_end_with_the_power_is_fetched_anew() {
    let mut stack = start_with("", in_files_of(100_000), &model("digits", "true", "")).await;
    let slow = FaultKind::Delay { milliseconds: 150 };
    stack.emulator.add_fault(Fault::times(FILES, 1000, slow));
    let (run, id) = stack.click_with(&Dataset::digits(), "digits").await;
    stack.fetched(5).await;
    stack.server.kill();
    stack.emulator.clear_faults();
    let training = stack.job_dir(&id).join("data/training.ndjson");
    let file = fs::OpenOptions::new().write(true).open(training);
    file.expect("it is there")
        .set_len(10)
        .expect("it is a file");
    stack.restart().await;
    stack.told(&run, "COMPLETE").await;
    assert_digits(&stack.job_dir(&id));
}
