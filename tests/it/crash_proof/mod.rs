//! kill -9 on server and supervisors at random instants, over many jobs, while Labelbox fails now and then.
//!
//! Chance meets most points; those that matter are each met on purpose by a test of their own. In `points`, system call by
//! system call, over HTTP in `mirrored`, and on the way of data and predictions in `carried`:
//!
//! - after the 200; after `submitting` is committed; a supervisor is spawned and holds no lock; it holds the lock and no
//!   claim; the claim is won and no command spawned; the command runs; it has ended and there is no record; the record is
//!   written and not seen; it is seen and not committed: `at_every_step_a_kill_breaks_no_promise`,
//!   `at_every_step_over_http_a_kill_breaks_no_promise`. The supervisor that comes late:
//!   `a_supervisor_that_comes_late_finds_its_attempt_taken`;
//! - task, splits and rows of an export come; images come; predictions are frozen, posted and looked after:
//!   `at_every_step_of_data_and_predictions_a_kill_breaks_no_promise`.
//!
//! Where Labelbox, a disk or a clock must stand in a certain way for it:
//!
//! | the point | its test |
//! |---|---|
//! | a final is committed and not sent | `reporting::finals::a_final_that_nobody_was_told_when_the_server_was_killed_is_told` |
//! | a final is sent and not marked | `reporting::finals::a_final_that_was_told_and_not_marked_when_the_server_was_killed_is_told_again` |
//! | an export task is created and not recorded | `export::restart::a_task_that_labelbox_began_and_nobody_noted_is_followed_by_another_one` |
//! | half of the data is downloaded | `export::restart::a_server_that_is_killed_goes_on_behind_what_is_on_disk`, `files::circle::a_server_that_is_killed_while_files_come_in_goes_on_with_the_rest` |
//! | a chunk is posted and its row not written | `upload::kills::a_kill_while_the_second_chunk_is_sent_loses_and_repeats_nothing` |
//! | an import runs | `upload::kills::a_kill_while_an_import_runs_finds_it_again` |
//! | a cancel is wished and not acted on | `stopping::a_wish_to_stop_that_could_not_be_acted_on_outlives_the_server` |
//! | the disk is full in the middle of a batch | `full_disk::of_many_clicks_at_once_on_a_disk_that_fills_up_each_is_told_the_truth`, and the tests of `store::writer` |
//! | a write panics | `store::writer`: from outside none can be made to |
//! | the clock is set a day ahead, a day back | `clocks::a_clock_that_is_set_delays_nothing_and_ends_nothing` |
//! | `state_dir` is deleted under the server | `server_process::a_server_whose_state_dir_is_deleted_acknowledges_nothing_more` |
//! | an older backup is put back | `backup::what_happened_after_the_backup_is_followed_and_not_started_again`, `backup::what_waited_at_the_backup_and_began_since_is_not_started_again`, `backup::an_old_final_is_read_back_before_it_is_sent_again`, `mirror::outages::an_attempt_goes_on_with_a_server_of_which_only_a_backup_was_left` |
//!
//! `TRAINHOOK_KILLS` says how many kills (a few hundred if it is not set), `TRAINHOOK_SEED` which ones.

mod carried;
mod mirrored;
mod points;
mod promises;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use trainhook::{
    config::Secret,
    emulator::{Click, Dataset, Fault, FaultKind},
    process::ProcessId,
};

use crate::{
    export,
    mirror::proxy::Proxy,
    support::{
        numbers::Numbers,
        processes,
        stack::{SECRET, Stack, job_id, model, settings, wait_until, workspace},
    },
};

const KILLS: usize = 300;

/// Jobs at once.
const SLOTS: usize = 4;

/// Every command notes its launch when it starts; nothing else does.
const NOTE: &str = "echo $TRAINHOOK_LAUNCH_ID >> starts; ";

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

/// What the models `predicting`, `mirrored` and `carried` leave for Labelbox, in three imports.
const PREDICTIONS: usize = 5;

/// What the kills are tried on.
struct Trial {
    stack: Stack,
    /// Between the server and supervisors that share no files with it.
    proxy: Proxy,
    /// Where the code of the model `mirrored` is.
    _code: TempDir,
    numbers: Numbers,
    /// What a fresh run has.
    dataset: Arc<Dataset>,
    /// Runs that the server has said yes to, and their jobs.
    accepted: Vec<(String, String)>,
    /// How often each run was clicked, answered or not.
    clicks: BTreeMap<String, usize>,
    /// A run whose click was not answered: it is clicked again.
    unanswered: Option<(String, &'static str)>,
}

fn is_final(status: &str) -> bool {
    matches!(status, "COMPLETE" | "FAILED")
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn models() -> String {
    let quickly = "retry = { max = 5, backoff = \"20ms\" }\ncancel_grace = \"100ms\"\n\
                   max_starts_per_day = \"none\"";
    let scripts = [
        ("quick", "true"),
        ("short", "sleep 0.1"),
        ("long", "sleep 0.6"),
        ("wrong", "sleep 0.05; echo too few labels >&2; exit 3"),
        ("shaky", "[ $TRAINHOOK_ATTEMPT -ge 3 ] || exit 75"),
        ("forking", "sleep 30 & sleep 0.2"),
    ];
    let models = scripts.map(|(name, script)| model(name, &format!("{NOTE}{script}"), quickly));
    let has_its_data = format!("{NOTE}[ $(wc -l < $TRAINHOOK_TRAINING_FILE) = 160 ] || exit 4");
    let data = export::model("data", &has_its_data, quickly);
    let hands_over = format!("{NOTE}cp predictions.ndjson $TRAINHOOK_OUT_DIR/");
    let settings = format!("{quickly}\nimport_lines = 2");
    let predicting = export::model("predicting", &hands_over, &settings);
    let predicting = predicting.replace("predictions = \"none\"", "predictions = \"required\"");
    let patient = format!("{NOTE}while [ ! -e release ]; do sleep 0.02; done");
    let carried = carried::model(quickly);
    models.concat() + &data + &predicting + &carried + &model("patient", &patient, quickly)
}

fn predictions() -> String {
    let line = |row: usize| json!({"global_key": format!("row-{row:09}"), "name": "kind", "answer": "kind-a"});
    (0..PREDICTIONS)
        .map(|row| format!("{}\n", line(row)))
        .collect()
}

const MODELS: [&str; 9] = [
    "quick",
    "short",
    "long",
    "wrong",
    "shaky",
    "forking",
    "data",
    "predicting",
    "mirrored",
];

impl Trial {
    async fn start(seed: u64) -> Self {
        Self::start_program(Path::new(env!("CARGO_BIN_EXE_trainhook")), seed).await
    }

    async fn start_program(program: &Path, seed: u64) -> Self {
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
    async fn restart(&mut self) {
        self.stack.restart().await;
        self.connect();
    }

    /// One click, answered or not: the server may die meanwhile.
    async fn click(&mut self) {
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

    async fn click_on(&mut self, run: String, model_type: &'static str) {
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
    fn spoil(&mut self) {
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

    async fn kill_something(&mut self) {
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
    async fn settle(&mut self) {
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
    async fn fill_all_slots(&mut self) {
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

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_whenever_every_promise_holds() {
    let kills =
        setting("TRAINHOOK_KILLS").map_or(KILLS, |kills| usize::try_from(kills).expect("it fits"));
    let seed = setting("TRAINHOOK_SEED").unwrap_or(20_261_123);
    let mut trial = Trial::start(seed).await;
    for _ in 0..kills {
        for _ in 0..trial.numbers.below(3) {
            trial.click().await;
        }
        if trial.numbers.below(3) == 0 {
            trial.spoil();
        }
        // The instant of the kill is what is tried here: no event could stand for it.
        let instant = Duration::from_micros(trial.numbers.below(60_000) as u64);
        tokio::time::sleep(instant).await;
        trial.kill_something().await;
    }
    trial.settle().await;
    trial.fill_all_slots().await;
    promises::hold(&trial).await;
}
