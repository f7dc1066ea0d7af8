//! How fast a run's data goes out and its predictions come back, and in how much memory. The emulator is in this process,
//! the server is the program as it is shipped, and Labelbox's own SDK exports the same run from the same emulator.
//!
//! `cargo bench --bench data` prints the table of the README. `ROWS=1000000` measures a run of that size.

mod check;
mod export;
mod measured;
mod sdk;
mod server;
mod upload;

use std::time::Duration;

use tokio::net::TcpListener;
use trainhook::emulator::{Dataset, Emulator, Options, Timing};

use measured::{Measured, print_ratios};

/// Rows of the measured run.
const ROWS: u64 = 200_000;

/// Bytes of an exported line.
const LINE: usize = 1_800;

/// Either exports so many times, by turns; the best of each counts.
const TRIES: usize = 3;

fn main() {
    let rows = std::env::var("ROWS").ok();
    let rows = rows.map_or(ROWS, |rows| rows.parse().expect("ROWS is a number"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads");
    println!("| what | measured |\n|---|---|");
    runtime.block_on(measure(rows));
}

async fn measure(rows: u64) {
    let emulator = start_emulator(rows).await;
    let (_, run) = emulator.create_model_run(None, "a large run");
    let (mut ours, mut theirs): (Option<Measured>, Option<Measured>) = (None, None);
    for _ in 0..TRIES {
        let now = export::measure(&emulator, &run, rows).await;
        ours = Some(ours.map_or(now, |before| before.best(now)));
        if let Some(now) = sdk::measure(&emulator, &run, rows).await {
            theirs = Some(theirs.map_or(now, |before| before.best(now)));
        }
    }
    if let Some(ours) = &ours {
        ours.print(&format!("{rows} rows by trainhook"), rows);
    }
    if let Some(theirs) = &theirs {
        theirs.print("the same by Labelbox's own SDK 7.17.0", rows);
    }
    if let (Some(ours), Some(theirs)) = (&ours, &theirs) {
        print_ratios(ours, theirs);
    }
    let circle = upload::measure(&emulator, &run, rows).await;
    check::measure(rows, &circle);
}

async fn start_emulator(rows: u64) -> Emulator {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let options = Options {
        timing: Timing {
            export_takes: Duration::ZERO,
            import_takes: Duration::ZERO,
            file_bytes: 32 << 20,
            ..Timing::default()
        },
        dataset: Some(Dataset::generated(rows, LINE)),
        ..Options::default()
    };
    Emulator::start(listener, options).expect("it starts")
}
