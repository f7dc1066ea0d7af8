//! A server for the trial: its own store, its own Labelbox, and the executor that is examined.

mod ground;
mod jobs;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::Instant};
use uuid::Uuid;

use super::{Complaint, Subject, observed::Notes};
use crate::{
    config::{Config, ExecutorEntry, ModelEntry, ServerConfig},
    emulator::{Emulator, Options},
    executor::{Executor, Registry},
    server::{PartFailed, Server, StartError},
    store::{OpenError, Store},
};
use ground::{executor_of, jobs_dir_in, jobs_listener, settings, tables_of};

pub(super) use jobs::describe;

/// Jobs of the trial that the engine holds at once.
const SLOTS: u32 = 16;

/// The trial's jobs are looked at this often, as far as the engine bears it.
const POLL: Duration = Duration::from_millis(500);

/// Between two looks at a job, its files, or the engine.
const PAUSE: Duration = Duration::from_millis(50);

/// How long the old server may hold its store after its end.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// Why nothing could be tried.
#[derive(Debug, thiserror::Error)]
pub enum StandError {
    /// The settings know no such executor, or no such model.
    #[error("{0}")]
    Unknown(String),
    /// The server for the trial does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Another program, most likely a server, listens where the jobs of the trial would look for it.
    #[error(
        "jobs_listen {0} is taken: stop the server that runs there, or copy the file, give the copy another jobs_listen \
         and a jobs_url that leads to it, and name it with --config"
    )]
    Taken(std::net::SocketAddr),
    /// A folder or an address for the trial cannot be had.
    #[error("cannot prepare the trial: {0}")]
    Prepare(#[from] std::io::Error),
}

/// The server, and all around it.
#[derive(Debug)]
pub(super) struct Stand {
    subject: Subject,
    registry: Registry,
    notes: Arc<Notes>,
    emulator: Emulator,
    config: Config,
    entry: ExecutorEntry,
    template: ModelEntry,
    state_dir: PathBuf,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    store: Store,
    stop: watch::Sender<bool>,
    serving: JoinHandle<Result<(), PartFailed>>,
}

impl Stand {
    pub(super) async fn start(subject: Subject, registry: Registry) -> Result<Self, StandError> {
        let mut entry = executor_of(&subject)?;
        let tables = tables_of(&subject, &entry.kind)?;
        entry.max_running = entry.max_running.max(SLOTS);
        entry.poll_interval = Some(entry.poll_interval.unwrap_or(POLL).min(POLL));
        let notes = Arc::<Notes>::default();
        let observing = Arc::clone(&notes);
        let registry = registry.wrapped(&entry.kind, move |executor| observing.observe(executor));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let emulator = Emulator::start(listener, Options::default())?;
        let state_dir =
            std::env::temp_dir().join(format!("trainhook-conformance-{}", Uuid::new_v4()));
        let mut config = settings(&state_dir, &emulator.graphql_url(), &entry)?;
        config.server = ServerConfig {
            jobs_dir: jobs_dir_in(&subject.config.server.jobs_dir),
            jobs: jobs_listener(&subject.config).await?,
            ..config.server
        };
        let mut template = config.models.remove(0);
        template.kinds = tables;
        config.executors = vec![entry.clone()];
        let mut stand = Self {
            subject,
            registry,
            notes,
            emulator,
            config,
            entry,
            template,
            state_dir,
            running: None,
        };
        stand.serve().await?;
        Ok(stand)
    }

    async fn serve(&mut self) -> Result<(), StandError> {
        let server = self.open().await?;
        let server = match &self.subject.program {
            Some(program) => server.supervising_with(program.clone()),
            None => server,
        };
        let store = server.store().clone();
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(server.run(stopped));
        self.running = Some(Running {
            store,
            stop,
            serving,
        });
        Ok(())
    }

    /// The store of the server before may need a moment to let go.
    async fn open(&self) -> Result<Server, StandError> {
        let deadline = Instant::now() + STOP_PATIENCE;
        loop {
            let entries = vec![self.entry.clone()];
            match Server::start(self.config.clone(), entries, &self.registry).await {
                Err(StartError::Store(OpenError::Taken { .. })) if Instant::now() < deadline => {
                    tokio::time::sleep(PAUSE).await;
                }
                other => return Ok(other?),
            }
        }
    }

    /// Stops the server, and lets another one, with an executor built anew, go on.
    pub(super) async fn restart(&mut self) -> Result<(), Complaint> {
        self.stop().await;
        let served = self.serve().await;
        served.map_err(|error| format!("the next server does not start: {error}").into())
    }

    async fn stop(&mut self) {
        if let Some(Running { stop, serving, .. }) = self.running.take() {
            stop.send_replace(true);
            let _ended = serving.await;
        }
    }

    /// Ends the server and removes the trial's files; keeps them, and answers where the jobs' lie, if they are of use.
    pub(super) async fn end(mut self, all_is_well: bool) -> Option<PathBuf> {
        let ended = async {
            self.end_jobs().await;
            self.wait_for_leftovers().await;
        };
        if tokio::time::timeout(STOP_PATIENCE, ended).await.is_err() {
            tracing::warn!("some jobs of the trial may go on: they did not end in time");
        }
        self.stop().await;
        let jobs_dir = self.config.server.jobs_dir.clone();
        let remove = move || {
            // What is left of a temporary folder harms nobody.
            let _ = fs::remove_dir_all(&self.state_dir);
            if all_is_well {
                let _ = fs::remove_dir_all(&jobs_dir);
            }
            (!all_is_well).then_some(jobs_dir)
        };
        tokio::task::spawn_blocking(remove).await.ok().flatten()
    }

    pub(super) fn kind(&self) -> String {
        self.entry.kind.clone()
    }

    pub(super) fn patience(&self) -> Duration {
        self.subject.patience
    }

    pub(super) fn settings(&self) -> &Config {
        &self.subject.config
    }

    pub(super) fn notes(&self) -> &Notes {
        &self.notes
    }

    pub(super) fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// A model's entry to begin a trial with.
    pub(super) fn template(&self) -> ModelEntry {
        self.template.clone()
    }

    /// The executor itself, with nobody between.
    pub(super) fn executor(&self) -> Result<Arc<dyn Executor>, Complaint> {
        let executor = self.notes.executor();
        executor.ok_or_else(|| "no executor was built".to_owned().into())
    }
}
