//! A million predictions in a server that stays small.

use std::{fs, time::Duration};

use trainhook::emulator::Dataset;

use super::start_model;
use crate::support::stack::job_id;

/// Predictions; a thousand of each row.
const PREDICTIONS: u64 = 1_000_000;

/// A debug build takes its time.
const PATIENCE: Duration = Duration::from_secs(1200);

/// The server never has more memory than this, in kB.
const BOUND: u64 = 100_000;

/// The most memory that a process has had, in kB.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_predictions_go_through_a_server_that_stays_small() {
    let script = format!(
        "awk 'BEGIN {{{{ for (i = 0; i < {PREDICTIONS}; i++) printf \
         \"{{{{\\\"global_key\\\": \\\"row-%09d\\\", \\\"name\\\": \\\"kind\\\", \\\"answer\\\": \\\"kind-b\\\", \
         \\\"confidence\\\": %.6f}}}}\\n\", i % 1000, i / {PREDICTIONS} }}}}' > $TRAINHOOK_OUT_DIR/predictions.ndjson"
    );
    let stack = start_model(&script, "upload_timeout = \"none\"").await;
    let file = stack.folder.path().join("models.toml");
    let text = fs::read_to_string(&file).expect("readable");
    fs::write(
        &file,
        text.replace("import_lines = 2\n", "import_lines = 100000\n"),
    )
    .expect("writable");
    let mut stack = stack;
    stack.restart_with(&[]).await;
    let run = stack.new_run();
    assert!(
        stack
            .emulator
            .set_dataset(&run, Some(Dataset::generated(1000, 100)))
    );
    let id = job_id(&stack.click(&run, "m").await);
    let ended = stack.emulator.wait_for(&run, PATIENCE, |timeline| {
        timeline
            .iter()
            .any(|entry| matches!(entry.status.as_str(), "COMPLETE" | "FAILED"))
    });
    let timeline = ended.await.expect("it ends");
    let last = timeline.last().expect("an entry");
    assert_eq!(
        last.status,
        "COMPLETE",
        "{:?}\n{}",
        last.error_message,
        stack.job(&id)
    );
    let summary = stack.imported(&run);
    assert_eq!(
        (summary.predictions, summary.repeated_imports),
        (PREDICTIONS, 0)
    );
    let peak = peak(stack.server.child.id());
    println!("{peak} kB at most, {} imports", summary.imports.len());
    assert!(peak < BOUND, "{peak} kB");
}
