//! Predictions of a whole run, from the command's file to what Labelbox has of them.

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use serde_json::json;
use tempfile::NamedTempFile;
use trainhook::emulator::Emulator;

use crate::{
    measured::{megabytes, row},
    server::Server,
};

/// A job that has gone through the whole circle, and where its files lie.
pub(crate) struct Circle {
    pub(crate) job_dir: PathBuf,
    pub(crate) predictions: NamedTempFile,
    _server: Server,
}

pub(crate) async fn measure(emulator: &Emulator, run: &str, rows: u64) -> Circle {
    let predictions = NamedTempFile::new().expect("a file");
    write_predictions(predictions.path(), rows);
    let command = json!(["cp", predictions.path(), "{out_dir}/predictions.ndjson"]);
    let model = format!("command = {command}\n");
    let server = Server::start(&emulator.graphql_url(), &model);
    let (id, job) = server.run_job(emulator, run).await;
    let seconds = job.seconds_between("uploading", "succeeded");
    row(
        &format!("{rows} predictions checked, frozen, sent and imported"),
        &format!("{seconds:.1} s, {:.0}/s", rows as f64 / seconds),
    );
    row(
        "most memory of the server in the whole circle",
        &megabytes(server.peak_memory()),
    );
    Circle {
        job_dir: server.path().join("jobs").join(id),
        predictions,
        _server: server,
    }
}

fn write_predictions(path: &Path, rows: u64) {
    let mut file = BufWriter::new(std::fs::File::create(path).expect("it is writable"));
    for number in 0..rows {
        let line = json!({
            "dataRow": { "globalKey": format!("row-{number:09}") }, "name": "kind",
            "answer": { "name": "kind-a", "confidence": 0.75 },
        });
        writeln!(file, "{line}").expect("it is writable");
    }
    file.flush().expect("it is writable");
}
