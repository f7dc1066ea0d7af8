//! `trainhook demo`: the whole circle on this machine, with no account and no settings; or with a model and an export
//! of one's own.

mod arrived;
mod display;
mod files;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{net::TcpListener, sync::watch, time::Instant};

use crate::{
    config::{Config, ExecutorEntry, Parsed},
    emulator::{Click, Dataset, Emulator, Options},
    executor::Registry,
    job::{Job, JobId, PipelineStatus, Stop},
    server::Server,
    store::{Store, StoreError},
};
use display::Display;
use files::DemoFiles;

/// The shipped demo ends after this, whatever happens; a model of the user's own has its `run_timeout`.
const LIMIT: Duration = Duration::from_secs(180);

/// What the shipped model learns from.
const DATASET: &str = "digits";

/// How often the display is drawn anew.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);

/// How long an interrupted demo waits for its training to end.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// Plays the whole circle here: an emulated Labelbox clicks, a real model is trained on real data.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "With --model or --config, a model of your own models.toml is trained instead; nothing is kept of it there. \
                  Exit code 0 only if Labelbox was told COMPLETE."
)]
pub(super) struct Args {
    /// Keeps everything in this new folder, to look at it afterwards.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Trains this model of your own models.toml; the first one, without this.
    #[arg(long, value_name = "SLUG")]
    model: Option<String>,
    /// Your own settings; models.toml if a model is named.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What the model run holds: digits, shapes, entities, or a file with an export of Labelbox's.
    #[arg(long, value_name = "NAME|FILE", default_value = DATASET)]
    dataset: PathBuf,
}

/// Why a demo did not come to a good end; a sentence for people.
type Complaint = String;

impl Args {
    pub(super) fn run(self, registry: &Registry) -> ExitCode {
        match self.play(registry) {
            Ok(()) => ExitCode::SUCCESS,
            Err(complaint) => {
                eprintln!("trainhook demo: {complaint}");
                ExitCode::FAILURE
            }
        }
    }

    fn play(self, registry: &Registry) -> Result<(), Complaint> {
        let dataset =
            super::emulate::open_dataset(&self.dataset).map_err(|error| error.to_string())?;
        let own = match (&self.config, &self.model) {
            (None, None) => None,
            (config, _) => Some(
                config
                    .clone()
                    .unwrap_or_else(|| PathBuf::from("models.toml")),
            ),
        };
        if own.is_none() {
            if self.dataset != Path::new(DATASET) {
                return Err(format!(
                    "the model that is shipped learns from {DATASET} alone: name one of your own with --model"
                ));
            }
            files::find_python()?;
        }
        let limit = own.is_none().then_some(LIMIT);
        let files = DemoFiles::unpack(self.keep, own)?;
        let show = Show {
            files,
            model: self.model,
            dataset,
            limit,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| format!("cannot start threads: {error}"))?;
        let played = runtime.block_on(show.play(registry));
        runtime.shutdown_timeout(Duration::from_secs(1));
        played
    }
}

/// What is played.
struct Show {
    files: DemoFiles,
    model: Option<String>,
    dataset: Arc<Dataset>,
    limit: Option<Duration>,
}

impl Show {
    async fn play(self, registry: &Registry) -> Result<(), Complaint> {
        let emulator = start_emulator(Arc::clone(&self.dataset)).await?;
        let (_, run) = emulator.create_model_run(None, "demo");
        let (config, executors) = self
            .files
            .settings(&emulator.graphql_url(), self.model.as_deref())?;
        let title = config
            .models
            .first()
            .map(|model| model.title.clone())
            .unwrap_or_default();
        let server = Server::start(config, executors, registry)
            .await
            .map_err(|error| error.to_string())?;
        let (stop, stopped) = watch::channel(false);
        let (addresses, store) = (server.addresses(), server.store().clone());
        let mut display = Display::new();
        display.introduce(&emulator.graphql_url(), addresses.labelbox, &title);
        let serving = tokio::spawn(server.run(stopped));
        let click = Click {
            url: format!("http://{}/", addresses.labelbox),
            secret: self.files.secret(),
            model_run_id: run.clone(),
            model_type: Some(title),
        };
        let ended = match emulator.click(click).await {
            Ok(outcome) => match outcome.model_run.as_ref().and_then(accepted_job) {
                Some(id) => follow(&store, id, &emulator, &run, self.limit, &mut display).await,
                None => Err(format!("the server refused the click: {outcome:?}")),
            },
            Err(error) => Err(format!("the click did not reach the server: {error}")),
        };
        stop.send_replace(true);
        let _stopped = serving.await;
        let job = ended?;
        display.told(&emulator.timeline(&run));
        let arrived = emulator.predictions(&run).unwrap_or_default();
        display.arrived(&arrived::lines(self.dataset.len(), &arrived, &job));
        display.conclude(&job, self.files.kept());
        judge(&emulator, &run, &job)
    }
}

async fn start_emulator(dataset: Arc<Dataset>) -> Result<Emulator, Complaint> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(|error| format!("cannot listen: {error}"))?;
    let options = Options {
        dataset: Some(dataset),
        ..Options::default()
    };
    Emulator::start(listener, options)
        .map_err(|error| format!("cannot start the emulator: {error}"))
}

fn accepted_job(answer: &crate::emulator::Answer) -> Option<JobId> {
    answer.json()?.get("jobId")?.as_str()?.parse().ok()
}

/// Shows the job until it has ended and Labelbox knows.
async fn follow(
    store: &Store,
    id: JobId,
    emulator: &Emulator,
    run: &str,
    limit: Option<Duration>,
    display: &mut Display,
) -> Result<Job, Complaint> {
    let unreadable = |error: StoreError| format!("cannot read the job: {error}");
    let mut interrupted = super::serve::stop_signal();
    let begun = Instant::now();
    loop {
        let job = store
            .job(id)
            .await
            .map_err(unreadable)?
            .ok_or("the job is gone")?;
        display.show(&job);
        let told = emulator
            .timeline(run)
            .iter()
            .any(|entry| is_final(&entry.status));
        if job.state.is_terminal() && told {
            return Ok(job);
        }
        if *interrupted.borrow_and_update() {
            display.leave();
            end_training(store, id).await;
            return Err("interrupted; the training was stopped".to_owned());
        }
        if limit.is_some_and(|limit| begun.elapsed() > limit) {
            display.leave();
            end_training(store, id).await;
            let seconds = begun.elapsed().as_secs();
            return Err(format!(
                "gave up after {seconds} s; the job is {}",
                job.state
            ));
        }
        tokio::select! {
            _ = interrupted.changed() => {}
            () = tokio::time::sleep(DRAW_INTERVAL) => {}
        }
    }
}

/// The demo leaves nothing behind, also when it is interrupted.
async fn end_training(store: &Store, id: JobId) {
    let stop = Stop {
        cause: None,
        actor: "the demo".to_owned(),
        at: Timestamp::now(),
    };
    let Ok(_) = store.wish_stop(id, stop, Timestamp::now()).await else {
        return;
    };
    let ended = async {
        while let Ok(Some(job)) = store.job(id).await
            && !job.state.is_terminal()
        {
            tokio::time::sleep(DRAW_INTERVAL).await;
        }
    };
    let _in_time = tokio::time::timeout(STOP_LIMIT, ended).await;
}

fn is_final(status: &str) -> bool {
    status.parse().is_ok_and(PipelineStatus::is_final)
}

fn judge(emulator: &Emulator, run: &str, job: &Job) -> Result<(), Complaint> {
    let status = emulator.pipeline(run).and_then(|pipeline| pipeline.status);
    match status.as_deref() {
        Some("COMPLETE") => Ok(()),
        status => Err(format!(
            "Labelbox was told {}: {}",
            status.unwrap_or("nothing"),
            job.message.as_deref().unwrap_or("no reason was recorded")
        )),
    }
}

/// Settings without mistakes; else all of them.
fn understand(parsed: Parsed) -> Result<(Config, Vec<ExecutorEntry>), Complaint> {
    let mistakes: Vec<String> = parsed.mistakes.iter().map(ToString::to_string).collect();
    let config = parsed.config.ok_or_else(|| mistakes.join("; "))?;
    Ok((config, parsed.executors))
}
