//! Memory stays bounded, whatever the size.
//!
//! `TRAINHOOK_EXPORT_ROWS=1000000` exports a million rows instead of 200,000.

use std::fs;

use trainhook::emulator::Dataset;

use super::{in_files_of, model, read_json, start_with};

const ROWS: u64 = 200_000;

/// What the server may hold in memory at its highest, in kilobytes.
const MEMORY: u64 = 100_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_large_export_needs_little_memory() {
    let rows = std::env::var("TRAINHOOK_EXPORT_ROWS").ok();
    let rows = rows.map_or(ROWS, |rows| rows.parse().expect("a number"));
    let stack = start_with("", in_files_of(16 << 20), &model("texts", "true", "")).await;
    let (run, id) = stack
        .click_with(&Dataset::generated(rows, 900), "texts")
        .await;
    let begun = std::time::Instant::now();
    let complete = stack
        .emulator
        .wait_for(&run, std::time::Duration::from_secs(600), |timeline| {
            timeline.iter().any(|entry| entry.status == "COMPLETE")
        });
    complete.await.expect("it is complete");
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
    assert_eq!(manifest["splits"]["training"]["rows"], rows / 10 * 8);
}
