//! A run's data, exported into the job directory before its command begins.

mod circle;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;
use trainhook::emulator::Dataset;

use crate::support::stack::{Stack, job_id, settings, workspace};

/// A model whose data is exported.
pub(crate) fn model(slug: &str, script: &str, settings: &str) -> String {
    crate::support::stack::model(slug, script, settings).replace("export = false\n", "")
}

/// A server of two slots with these models.
async fn start(models: &str) -> Stack {
    start_with("max_running = 2", "", models).await
}

/// A server with these settings of its executor and of its workspace.
async fn start_with(executor: &str, of_workspace: &str, models: &str) -> Stack {
    Stack::start_whole(|endpoint| {
        let workspace = workspace("main", "/", endpoint);
        let executor = format!("[executors.local]\nkind = \"local\"\n{executor}\n");
        [
            &settings(),
            &workspace,
            of_workspace,
            "\n",
            &executor,
            models,
        ]
        .concat()
    })
    .await
}

impl Stack {
    /// A fresh run with this data.
    fn run_with(&self, dataset: &Arc<Dataset>) -> String {
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

    fn job_dir(&self, id: &str) -> PathBuf {
        self.folder.path().join("jobs").join(id)
    }
}

/// The lines of a file of the data folder.
fn lines(job_dir: &Path, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(job_dir.join("data").join(name)).expect("the file is there");
    let lines = text.lines().map(serde_json::from_str);
    lines.map(|line| line.expect("a line is JSON")).collect()
}

fn read_json(path: &Path) -> Value {
    let text = fs::read(path).expect("the file is there");
    serde_json::from_slice(&text).expect("JSON")
}
