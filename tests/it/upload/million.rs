//! A million rows out and a million predictions back, in one server that stays small.
//!
//! `TRAINHOOK_EXPORT_ROWS=20000` moves so many of each instead.

use std::{fs, time::Duration};

use trainhook::emulator::Dataset;

use crate::{
    export::{in_files_of, read_json, start_with},
    support::stack::{job_id, model},
};

const ROWS: u64 = 1_000_000;

/// Bytes of an exported line: 1.8 GB in all.
const LINE: usize = 1800;

/// A debug build on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(1200);

/// The server never has more memory than this, in kB.
const BOUND: u64 = 100_000;

/// What a release build has of its own file in memory, in kB. A debug build has more than twice as much of it, which
/// says nothing of the data.
const PROGRAM: u64 = 20_000;

/// The most memory that a process has had for its data, in kB.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let number = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.expect("a number")
    };
    number("VmHWM:") - number("RssFile:")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_rows_and_predictions_go_through_a_server_that_stays_small() {
    let rows = std::env::var("TRAINHOOK_EXPORT_ROWS").ok();
    let rows = rows.map_or(ROWS, |rows| rows.parse().expect("a number"));
    let script = format!(
        "awk 'BEGIN {{{{ for (i = 0; i < {rows}; i++) printf \
         \"{{{{\\\"global_key\\\": \\\"row-%09d\\\", \\\"name\\\": \\\"kind\\\", \\\"answer\\\": \\\"kind-b\\\", \
         \\\"confidence\\\": %.6f}}}}\\n\", i, i / {rows} }}}}' > $TRAINHOOK_OUT_DIR/predictions.ndjson"
    );
    let settings = "import_lines = 100000\nupload_timeout = \"none\"";
    let model = model("m", &script, settings).replace("export = false\n", "");
    let stack = start_with("", in_files_of(32 << 20), &model).await;
    let run = stack.new_run();
    let data = Dataset::generated(rows, LINE);
    assert!(stack.emulator.set_dataset(&run, Some(data)));
    let begun = std::time::Instant::now();
    let id = job_id(&stack.click(&run, "m").await);
    let ended = stack.emulator.wait_for(&run, PATIENCE, |timeline| {
        let is_over = |status: &str| matches!(status, "COMPLETE" | "FAILED");
        timeline.iter().any(|entry| is_over(&entry.status))
    });
    let timeline = ended.await.expect("it ends");
    let last = timeline.last().expect("an entry");
    let why = (&last.error_message, stack.job(&id));
    assert_eq!(last.status, "COMPLETE", "{why:?}");
    let peak = peak(stack.server.child.id());
    println!(
        "{rows} rows and predictions in {:?}, {peak} kB of data at most",
        begun.elapsed()
    );
    assert!(peak + PROGRAM < BOUND, "{peak} kB");
    let summary = stack.imported(&run);
    assert_eq!((summary.predictions, summary.repeated_imports), (rows, 0));
    let manifest = read_json(&stack.job_dir(&id).join("data/manifest.json"));
    assert_eq!(manifest["rows"], rows);
    assert_eq!(manifest["exported_bytes"], rows * LINE as u64);
    assert_eq!(manifest["splits"]["training"]["rows"], rows / 10 * 8);
}
