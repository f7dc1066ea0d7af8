//! A run's data, exported into the job directory before its command begins.

mod announced;
mod broken;
mod circle;
mod classes;
mod disk;
mod heads;
mod later;
mod parameters;
mod places;
mod preflight;
mod restart;
mod stopping;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;
use trainhook::emulator::{Dataset, Timing};

use crate::support::stack::{Stack, job_id, settings, wait_until, workspace};

/// A model whose data is exported, and that leaves no predictions.
pub(crate) fn model(slug: &str, script: &str, settings: &str) -> String {
    crate::support::stack::model(slug, script, settings)
        .replace("export = false\n", "predictions = \"none\"\n")
}

/// A server of two slots with these models.
async fn start(models: &str) -> Stack {
    start_with("max_running = 2", Timing::default(), models).await
}

/// A server with these settings of its executor, at a Labelbox that is like this.
pub(crate) async fn start_with(executor: &str, timing: Timing, models: &str) -> Stack {
    let program = Path::new(env!("CARGO_BIN_EXE_trainhook"));
    Stack::start_timed(program, timing, |endpoint| {
        let workspace = workspace("main", "/", endpoint);
        let calls = "requests_per_minute = 1000000\n";
        let executor = format!("[executors.local]\nkind = \"local\"\n{executor}\n");
        [&settings(), &workspace, calls, &executor, models].concat()
    })
    .await
}

/// Results lie in files of so many bytes.
pub(crate) fn in_files_of(file_bytes: usize) -> Timing {
    Timing {
        file_bytes,
        ..Timing::default()
    }
}

impl Stack {
    /// A fresh run with this data.
    pub(crate) fn run_with(&self, dataset: &Arc<Dataset>) -> String {
        let run = self.new_run();
        assert!(self.emulator.set_dataset(&run, Some(Arc::clone(dataset))));
        run
    }

    /// Clicks on a fresh run with this data; answers the run and its job.
    async fn click_with(&self, dataset: &Arc<Dataset>, model_type: &str) -> (String, String) {
        let run = self.run_with(dataset);
        let id = job_id(&self.click(&run, model_type).await);
        (run, id)
    }

    pub(crate) fn job_dir(&self, id: &str) -> PathBuf {
        self.folder.path().join("jobs").join(id)
    }

    /// Waits until the job is in this state.
    async fn reached(&self, id: &str, state: &str) {
        let is_there = || (self.job(id)["job"]["state"] == state).then_some(());
        wait_until(state, is_there).await;
    }

    /// Waits until what the job waits for is told in these words, among others.
    async fn waits_for(&self, id: &str, words: &str) -> String {
        wait_until(words, || {
            let job = self.job(id);
            let waiting = job["job"]["waiting"].as_str()?;
            waiting.contains(words).then(|| waiting.to_owned())
        })
        .await
    }

    /// Waits until so many files of exports were asked for.
    async fn fetched(&self, count: usize) -> Vec<String> {
        wait_until("files of the export", || {
            let files = self.emulator.file_requests();
            (files.len() >= count).then_some(files)
        })
        .await
    }

    /// How often Labelbox was asked for this field.
    fn asked(&self, field: &str) -> usize {
        let requests = self.emulator.requests();
        let same = |asked: &Option<String>| asked.as_deref() == Some(field);
        requests.iter().filter(|one| same(&one.root_field)).count()
    }
}

/// The reason that Labelbox was told.
async fn reason(stack: &Stack, run: &str) -> String {
    let timeline = stack.told(run, "FAILED").await;
    let last = timeline.last().expect("an entry");
    last.error_message.clone().expect("a reason")
}

/// The lines of a file of the data folder.
fn lines(job_dir: &Path, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(job_dir.join("data").join(name)).expect("the file is there");
    let lines = text.lines().map(serde_json::from_str);
    lines.map(|line| line.expect("a line is JSON")).collect()
}

/// The ids of the rows of a split.
fn ids(job_dir: &Path, split: &str) -> Vec<String> {
    let id = |line: &Value| line["data_row"]["id"].as_str().expect("an id").to_owned();
    let lines = lines(job_dir, &format!("{split}.ndjson"));
    lines.iter().map(id).collect()
}

/// All digits are there, each once and in the file of its split.
#[track_caller]
fn assert_digits(job_dir: &Path) {
    let id = |at: usize| format!("cl0digit{at:017}");
    let wanted = |from: usize, to: usize| (from..to).map(id).collect::<Vec<_>>();
    assert_eq!(ids(job_dir, "training"), wanted(0, 1000));
    assert_eq!(ids(job_dir, "validation"), wanted(1000, 1297));
    assert_eq!(ids(job_dir, "test"), wanted(1297, 1797));
    assert_eq!(read_json(&job_dir.join("data/manifest.json"))["rows"], 1797);
}

pub(crate) fn read_json(path: &Path) -> Value {
    let text = fs::read(path).expect("the file is there");
    serde_json::from_slice(&text).expect("JSON")
}
