//! A run's rows and splits in the files of a job.

use serde_json::{Value, json};
use trainhook::emulator::Emulator;

use crate::{
    measured::Measured,
    server::{Server, processor_seconds},
};

pub(crate) async fn measure(emulator: &Emulator, run: &str, rows: u64) -> Measured {
    let model = "command = [\"true\"]\npredictions = \"none\"\n";
    let server = Server::start(&emulator.graphql_url(), model);
    let idle = server.processor_seconds();
    let emulator_before = processor_seconds("self");
    let (id, job) = server.run_job(emulator, run).await;
    let emulator = processor_seconds("self") - emulator_before;
    let manifest = server
        .path()
        .join("jobs")
        .join(id)
        .join("data/manifest.json");
    let manifest = std::fs::read(manifest).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!(manifest["rows"], json!(rows));
    Measured {
        rows_seconds: sorted_in(&server),
        seconds: job.seconds_between("exporting", "queued"),
        processor: server.processor_seconds() - idle,
        emulator,
        peak: server.peak_memory(),
    }
}

/// How long the rows took, as the server's log tells.
fn sorted_in(server: &Server) -> f64 {
    let log = server.log();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let mut taken = lines.filter_map(|line: Value| line["rows_ms"].as_f64());
    taken.next_back().expect("it is logged") / 1000.0
}
