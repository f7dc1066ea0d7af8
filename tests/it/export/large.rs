//! Memory stays bounded, whatever the size.
//!
//! `TRAINHOOK_EXPORT_ROWS=20000` exports so many rows instead of a million.

use std::{fs, time::Duration};

use trainhook::emulator::Dataset;

use super::{in_files_of, model, read_json, start_with};

const ROWS: u64 = 1_000_000;

/// Bytes of an exported line: 1.8 GB in all.
const LINE: usize = 1800;

/// A debug build on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(1200);

/// What the server may hold in memory at its highest, in kilobytes.
const MEMORY: u64 = 100_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_large_export_needs_little_memory() {
    let rows = std::env::var("TRAINHOOK_EXPORT_ROWS").ok();
    let rows = rows.map_or(ROWS, |rows| rows.parse().expect("a number"));
    let stack = start_with("", in_files_of(32 << 20), &model("texts", "true", "")).await;
    let (run, id) = stack
        .click_with(&Dataset::generated(rows, LINE), "texts")
        .await;
    let begun = std::time::Instant::now();
    let complete = stack.emulator.wait_for(&run, PATIENCE, |timeline| {
        let is_over = |status: &str| matches!(status, "COMPLETE" | "FAILED");
        timeline.iter().any(|entry| is_over(&entry.status))
    });
    let timeline = complete.await.expect("it ends");
    let last = timeline.last().expect("an entry");
    assert_eq!(last.status, "COMPLETE", "{:?}", last.error_message);
    let status = fs::read_to_string(format!("/proc/{}/status", stack.server.child.id()));
    let status = status.expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak
        .and_then(|peak| peak.trim().strip_suffix(" kB"))
        .expect("a number of kB");
    let peak: u64 = peak.parse().expect("a number");
    println!("{rows} rows in {:?}, {peak} kB at most", begun.elapsed());
    assert!(peak < MEMORY, "{peak} kB");
    let manifest = read_json(&stack.job_dir(&id).join("data/manifest.json"));
    assert_eq!(manifest["rows"], rows);
    assert_eq!(manifest["exported_bytes"], rows * LINE as u64);
    assert_eq!(manifest["splits"]["training"]["rows"], rows / 10 * 8);
}
