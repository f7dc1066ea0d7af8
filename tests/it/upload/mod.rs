//! Predictions on their way into Labelbox, from what a command wrote to a COMPLETE that is true.

mod agreement;
mod circle;
mod faults;
mod fetch;
mod kills;
mod million;
mod once_more;
mod results;
mod retry;
mod tolerance;

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use trainhook::emulator::{Dataset, FaultKind, ImportSummary, PredictionSummary};

use crate::support::stack::{Stack, job_id, model, wait_until};

/// Hands over whatever lies in the test's folder.
const HAND_OVER: &str = "cp predictions.ndjson $TRAINHOOK_OUT_DIR/";

/// Rows of the runs in these tests.
const ROWS: u64 = 40;

/// The server's calls of Labelbox that these tests spoil.
const POST: &str = "createModelErrorAnalysisPredictionImport";
const LOOK: &str = "modelErrorAnalysisPredictionImport";
const RESULTS: &str = "/files/imports";

/// An answer of this status, without effect.
fn status(status: u16) -> FaultKind {
    FaultKind::Status {
        status,
        body: None,
        headers: Vec::new(),
    }
}

/// An import that comes to nothing, for this reason.
fn fails(message: &str) -> FaultKind {
    FaultKind::Fails {
        message: message.to_owned(),
    }
}

/// A server with one model, `m`, which hands over what lies in the test's folder, in imports of two.
async fn start(settings: &str) -> Stack {
    start_model(HAND_OVER, settings).await
}

/// The same with another script.
async fn start_model(script: &str, settings: &str) -> Stack {
    let settings = format!("import_lines = 2\n{settings}");
    Stack::start(&model("m", script, &settings).replace("export = false\n", "")).await
}

/// A prediction for the row of that number.
fn line(row: usize) -> Value {
    json!({"global_key": format!("row-{row:09}"), "name": "kind", "answer": "kind-a", "confidence": 0.5})
}

fn lines(rows: std::ops::Range<usize>) -> Vec<Value> {
    rows.map(line).collect()
}

impl Stack {
    /// What the command will hand over.
    fn leave(&self, lines: &[Value]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(self.folder.path().join("predictions.ndjson"), text).expect("writable");
    }

    /// Clicks on a fresh run with data; answers the run and its job.
    async fn click_run(&self) -> (String, String) {
        let run = self.new_run();
        let data = Dataset::generated(ROWS, 100);
        assert!(self.emulator.set_dataset(&run, Some(data)));
        let id = job_id(&self.click(&run, "m").await);
        (run, id)
    }

    /// Waits until Labelbox was told FAILED; answers why.
    async fn failed(&self, run: &str) -> String {
        let timeline = self.told(run, "FAILED").await;
        let last = timeline.last().expect("an entry");
        last.error_message.clone().expect("a reason")
    }

    /// What was imported into a run.
    fn imported(&self, run: &str) -> PredictionSummary {
        self.emulator.predictions(run).expect("the run is there")
    }

    /// Waits until a job's imports are as wanted.
    async fn imports_are(
        &self,
        id: &str,
        what: &str,
        wanted: impl Fn(&[String]) -> bool + Send + Sync,
    ) {
        wait_until(what, || {
            let shown = self.job(id);
            let states = shown["imports"].as_array()?.iter();
            let states: Vec<String> = states
                .map(|import| import["state"].as_str().unwrap_or_default().to_owned())
                .collect();
            wanted(&states).then_some(())
        })
        .await;
    }

    /// Waits until a job has ended.
    async fn ended(&self, id: &str) {
        wait_until("the job's end", || {
            self.job(id)["job"]["endedAt"].is_string().then_some(())
        })
        .await;
    }

    /// Starts an upload of what an ended job has predicted; answers its id.
    fn retry_upload(&self, id: &str) -> String {
        let answer = self.trainhook(&["jobs", "retry-upload", id, "--json"]);
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        answer["job"]["id"].as_str().expect("an id").to_owned()
    }

    /// What is listed as not taken.
    fn rejected(&self, id: &str) -> Vec<Value> {
        let path = self.server_dir(id).join("predictions.rejected.ndjson");
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        lines.collect()
    }

    fn server_dir(&self, id: &str) -> PathBuf {
        self.folder.path().join("jobs").join(id).join("server")
    }
}

/// Each import by its name, with its lines and those that were refused.
fn sizes(summary: &PredictionSummary) -> Vec<(u64, u64)> {
    let size = |import: &ImportSummary| (import.lines, import.refused);
    summary.imports.iter().map(size).collect()
}

/// Everything arrived once.
#[track_caller]
fn assert_whole(summary: &PredictionSummary, predictions: u64) {
    assert_eq!(summary.predictions, predictions, "{summary:?}");
    assert_eq!(summary.repeated_imports, 0, "{summary:?}");
    assert!(
        summary
            .imports
            .iter()
            .all(|import| import.state == "FINISHED"),
        "{summary:?}"
    );
}
