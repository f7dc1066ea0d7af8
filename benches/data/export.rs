//! The whole circle of a large run, and the same export by Labelbox's own SDK.

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use trainhook::{
    config::Secret,
    emulator::{Click, Dataset, Emulator, Options, Timing},
};

use crate::{
    LINE, megabytes, row,
    server::{KEY, SECRET, Server},
};

/// A job that has gone through the whole circle, and where its files lie.
pub(crate) struct Exported {
    pub(crate) server: Server,
    pub(crate) job_dir: PathBuf,
    pub(crate) predictions: PathBuf,
}

/// How long an export took, and how much memory.
struct Measured {
    seconds: f64,
    peak: u64,
}

pub(crate) async fn measure(rows: u64) -> Exported {
    let emulator = start_emulator(rows).await;
    let (_, run) = emulator.create_model_run(None, "a large run");
    let exported = by_the_server(&emulator, &run, rows).await;
    by_the_sdk(&emulator, &run, rows).await;
    exported
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

async fn by_the_server(emulator: &Emulator, run: &str, rows: u64) -> Exported {
    let predictions = std::env::temp_dir().join(format!("predictions-{}", std::process::id()));
    write_predictions(&predictions, rows);
    let command = json!(["cp", predictions, "{out_dir}/predictions.ndjson"]);
    let server = Server::start(&emulator.graphql_url(), &command);
    let click = Click {
        url: server.url().await,
        secret: Secret::new(SECRET),
        model_run_id: run.to_owned(),
        model_type: None,
    };
    let outcome = emulator.click(click).await.expect("it answers");
    let accepted: Value = outcome
        .model_run
        .and_then(|answer| answer.json())
        .expect("JSON");
    let id = accepted["jobId"].as_str().expect("a job").to_owned();
    let job = server.ended_job(&id).await;
    let export = Measured {
        seconds: seconds_between(&job, "exporting", "queued"),
        peak: server.peak_memory(),
    };
    row(
        &format!("export of {rows} rows, splits and files on disk included"),
        &export.describe(rows),
    );
    let upload = seconds_between(&job, "uploading", "succeeded");
    row(
        &format!("{rows} predictions checked, frozen, sent and imported"),
        &format!("{upload:.1} s, {:.0} predictions/s", rows as f64 / upload),
    );
    row(
        "most memory that the server held in all of it",
        &megabytes(export.peak),
    );
    let job_dir = server.path().join("jobs").join(&id);
    Exported {
        server,
        job_dir,
        predictions,
    }
}

/// The same run from the same emulator.
async fn by_the_sdk(emulator: &Emulator, run: &str, rows: u64) {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = top.join("target/conformance-venv/bin/python");
    if !python.exists() {
        row(
            "the same by Labelbox's own SDK",
            "not measured: `tests/run` installs it",
        );
        return;
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    let output = tokio::process::Command::new(python)
        .arg(top.join("benches/data/sdk_export.py"))
        .args([emulator.graphql_url().as_str(), KEY, run])
        .arg(file.path())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await
        .expect("python starts");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["rows"], rows);
    let measured = Measured {
        seconds: told["seconds"].as_f64().expect("a number"),
        peak: told["peak"].as_u64().expect("a number"),
    };
    row(
        "the same rows by Labelbox's own SDK 7.17.0, without splits",
        &measured.describe(rows),
    );
    row("most memory that the SDK held", &megabytes(measured.peak));
}

impl Measured {
    fn describe(&self, rows: u64) -> String {
        let bytes = rows as f64 * LINE as f64;
        format!(
            "{:.1} s, {:.0} rows/s, {:.0} MB/s",
            self.seconds,
            rows as f64 / self.seconds,
            bytes / 1e6 / self.seconds
        )
    }
}

fn seconds_between(job: &Value, from: &str, to: &str) -> f64 {
    let at = |event: &str| {
        let entries = job["timeline"].as_array().expect("a timeline").iter();
        let mut entries = entries.filter(|entry| entry["event"] == event);
        let at = entries.next().and_then(|entry| entry["at"].as_str());
        at.and_then(|at| at.parse::<Timestamp>().ok()).expect(event)
    };
    at(to).duration_since(at(from)).as_secs_f64()
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
