//! What the kills are tried on: a server, its jobs, and a Labelbox that fails now and then.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use serde_json::Value;
use tempfile::TempDir;
use trainhook::{
    config::Secret,
    emulator::{Click, Dataset, Fault, FaultKind},
    process::ProcessId,
};

use super::{
    mirrored,
    models::{MODELS, models, predictions},
};
use crate::{
    mirror::proxy::Proxy,
    support::{
        numbers::Numbers,
        processes,
        stack::{SECRET, Stack, job_id, settings, wait_until, workspace},
    },
};

/// Jobs at once.
const SLOTS: usize = 4;

/// What may go wrong at Labelbox.
const CALLS: [&str; 12] = [
    "updateTrainingPipeline",
    "modelRun",
    "trainingPipeline",
    "exportDataRowsInModelRun",
    "user",
    "annotationGroups",
    "ontology",
    "task",
    "/files/exports",
    "createModelErrorAnalysisPredictionImport",
    "modelErrorAnalysisPredictionImport",
    "/files/imports",
];

/// What the kills are tried on.
pub(super) struct Trial {
    pub(super) stack: Stack,
    /// Between the server and supervisors that share no files with it.
    pub(super) proxy: Proxy,
    /// Where the code of the model `mirrored` is.
    _code: TempDir,
    pub(super) numbers: Numbers,
    /// What a fresh run has.
    pub(super) dataset: Arc<Dataset>,
    /// Runs that the server has said yes to, and their jobs.
    pub(super) accepted: Vec<(String, String)>,
    /// How often each run was clicked, answered or not.
    pub(super) clicks: BTreeMap<String, usize>,
    /// A run whose click was not answered: it is clicked again.
    pub(super) unanswered: Option<(String, &'static str)>,
}

impl Trial {
    pub(super) async fn start(seed: u64) -> Self {
        Self::start_program(Path::new(env!("CARGO_BIN_EXE_trainhook")), seed).await
    }

    pub(super) async fn start_program(program: &Path, seed: u64) -> Self {
        let (proxy, code) = (Proxy::start().await, mirrored::code());
        let executor = format!("[executors.local]\nkind = \"local\"\nmax_running = {SLOTS}\n");
        let rest = executor + &models() + &mirrored::executor_and_model(code.path());
        let server = format!(
            "[server]\nredelivery_window = \"0s\"\nmedia_allow = [\"127.0.0.1/32\"]\n{}",
            mirrored::listening(&proxy)
        );
        let stack = Stack::start_program(program, |endpoint| {
            let quick = settings()
                .replace("\"5s\"", "\"500ms\"")
                .replace("\"1s\"", "\"100ms\"")
                .replace("[server]\n", &server);
            quick + &workspace("main", "/", endpoint) + &rest
        });
        let stack = stack.await;
        let left = stack.folder.path().join("predictions.ndjson");
        fs::write(left, predictions()).expect("the folder is writable");
        mirrored::lead_to(code.path(), stack.folder.path());
        let trial = Self {
            stack,
            proxy,
            _code: code,
            numbers: Numbers::from(seed),
            dataset: Dataset::generated(200, 300),
            accepted: Vec::new(),
            clicks: BTreeMap::new(),
            unanswered: None,
        };
        trial.connect();
        trial
    }

    /// Starts the server again.
    pub(super) async fn restart(&mut self) {
        self.stack.restart().await;
        self.connect();
    }

    /// One click, answered or not: the server may die meanwhile.
    pub(super) async fn click(&mut self) {
        let (run, model_type) = match self.unanswered.take() {
            Some(unanswered) => unanswered,
            None => (self.some_run(), *self.numbers.one_of(&MODELS)),
        };
        self.click_on(run, model_type).await;
    }

    /// A fresh run, or one that was trained before and is trained again.
    fn some_run(&mut self) -> String {
        let trained = self.numbers.below(4) == 0 && !self.accepted.is_empty();
        let run = trained.then(|| self.numbers.one_of(&self.accepted).0.clone());
        let has_ended = |run: &String| {
            let timeline = self.stack.emulator.timeline(run);
            timeline.last().is_some_and(|last| is_final(&last.status))
        };
        run.filter(has_ended)
            .unwrap_or_else(|| self.stack.run_with(&self.dataset))
    }

    pub(super) async fn click_on(&mut self, run: String, model_type: &'static str) {
        let listen = self.stack.server.info()["listen"].clone();
        let click = Click {
            url: format!("http://{}", listen.as_str().expect("an address")),
            secret: Secret::new(SECRET),
            model_run_id: run.clone(),
            model_type: Some(model_type.to_owned()),
        };
        *self.clicks.entry(run.clone()).or_default() += 1;
        let outcome = self.stack.emulator.click(click).await;
        match outcome.map(|outcome| outcome.model_run) {
            Ok(Some(answer)) if answer.status == 200 => {
                self.accepted.push((run, job_id(&answer)));
            }
            _ => self.unanswered = Some((run, model_type)),
        }
    }

    /// Something goes wrong with one of the next calls to Labelbox.
    pub(super) fn spoil(&mut self) {
        let operation = self.numbers.one_of(&CALLS);
        let status = |status| FaultKind::Status {
            status,
            body: None,
            headers: Vec::new(),
        };
        let kinds = [
            status(500),
            status(503),
            FaultKind::DropBefore,
            FaultKind::DropAfter,
            FaultKind::Delay { milliseconds: 80 },
        ];
        let kind = self.numbers.one_of(&kinds).clone();
        self.stack.emulator.add_fault(Fault::once(operation, kind));
    }

    pub(super) async fn kill_something(&mut self) {
        let victim = self.numbers.below(6);
        if victim >= 4 {
            let supervisors = self.supervisors();
            if !supervisors.is_empty() {
                processes::kill(*self.numbers.one_of(&supervisors));
            }
        }
        if victim != 4 {
            self.stack.server.kill();
            self.restart().await;
        }
    }

    /// The supervisors that live, by the locks they hold.
    fn supervisors(&self) -> Vec<ProcessId> {
        let folders = ["jobs", "node"].map(|name| self.stack.folder.path().join(name));
        let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
        let jobs = folders.iter().flat_map(|folder| entries(folder));
        let attempts = jobs.flat_map(|job| entries(&job.path()));
        let holders = attempts.filter_map(|attempt| {
            let lock = fs::read(attempt.path().join("supervisor.lock")).ok()?;
            serde_json::from_slice::<ProcessId>(&lock).ok()
        });
        holders.filter(|holder| holder.is_alive()).collect()
    }

    /// Lets everything come to its end.
    pub(super) async fn settle(&mut self) {
        self.stack.emulator.clear_faults();
        while self.unanswered.is_some() {
            self.click().await;
        }
        wait_until("the end of all jobs", || {
            self.is_empty(&["jobs", "list", "--live"], "jobs")
        })
        .await;
        wait_until("the end of all reports", || {
            self.is_empty(&["reports", "list"], "reports")
        })
        .await;
    }

    /// As many jobs run at once as there are slots, and no more, whatever became of those that held them before.
    pub(super) async fn fill_all_slots(&mut self) {
        for _ in 0..=SLOTS {
            let run = self.stack.new_run();
            self.click_on(run, "patient").await;
        }
        let count = |state: &str| {
            let listed = self
                .stack
                .trainhook(&["jobs", "list", "--state", state, "--json"]);
            let listed: Value = serde_json::from_str(&listed).expect("JSON");
            listed["jobs"].as_array().map_or(0, Vec::len)
        };
        wait_until("a job in every slot, and one that waits", || {
            (count("running") == SLOTS && count("queued") == 1).then_some(())
        })
        .await;
        fs::write(self.stack.folder.path().join("release"), "").expect("the folder is writable");
        self.settle().await;
    }

    fn is_empty(&self, command: &[&str], key: &str) -> Option<()> {
        let listed = self.stack.trainhook(&[command, &["--json"]].concat());
        let listed: Value = serde_json::from_str(&listed).expect("JSON");
        listed[key]
            .as_array()
            .is_some_and(Vec::is_empty)
            .then_some(())
    }
}

pub(super) fn is_final(status: &str) -> bool {
    matches!(status, "COMPLETE" | "FAILED")
}
