//! How fast a run's data goes out and its predictions come back, and in how much memory. The emulator is in this process,
//! the server is the program as it is shipped, and Labelbox's own SDK exports the same run from the same emulator.
//!
//! `cargo bench --bench data` prints the table of the README. `ROWS=1000000` measures a run of that size.

mod check;
mod export;
mod server;

/// Rows of the measured run.
const ROWS: u64 = 200_000;

/// Bytes of an exported line.
const LINE: usize = 1_800;

fn main() {
    let rows = std::env::var("ROWS").ok();
    let rows = rows.map_or(ROWS, |rows| rows.parse().expect("ROWS is a number"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads");
    println!("| what | measured |\n|---|---|");
    let exported = runtime.block_on(export::measure(rows));
    check::measure(rows, &exported);
    let _removed = std::fs::remove_file(&exported.predictions);
    drop(exported.server);
}

fn row(what: &str, measured: &str) {
    println!("| {what} | {measured} |");
}

fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}
