//! A server for the trial: its own store, its own Labelbox, and the executor that is examined.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::Instant};
use uuid::Uuid;

use super::{Complaint, Subject, observed::Notes};
use crate::{
    config::{self, Config, ExecutorEntry, JobsConfig, ModelEntry, ServerConfig},
    emulator::{Emulator, Options},
    executor::{Executor, Registry},
    job::{Handle, Job, JobId, Stop},
    job_dir::{AttemptDir, JobDir},
    server::{Server, StartError},
    store::{Acceptance, Filter, NewJob, OpenError, Store, StoreError},
};

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
    serving: JoinHandle<()>,
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

    /// Ends what a broken promise has left running.
    async fn end_jobs(&self) {
        while let Ok(live) = self.live().await
            && !live.is_empty()
        {
            for job in live.iter().filter(|job| job.stop.is_none()) {
                // What cannot be wished now is wished at the next look.
                let _ = self.cancel(job.id).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn live(&self) -> Result<Vec<Job>, Complaint> {
        let live = Filter {
            live: true,
            limit: u32::MAX,
            ..Filter::default()
        };
        let jobs = self.store()?.jobs(live).await;
        jobs.map_err(|error| unreadable(&error))
    }

    async fn stop(&mut self) {
        if let Some(Running { stop, serving, .. }) = self.running.take() {
            stop.send_replace(true);
            let _ended = serving.await;
        }
    }

    /// Ends the server and removes the trial's files; keeps them, and answers where the jobs' lie, if they are of use.
    pub(super) async fn end(mut self, all_is_well: bool) -> Option<PathBuf> {
        if tokio::time::timeout(STOP_PATIENCE, self.end_jobs())
            .await
            .is_err()
        {
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

    fn store(&self) -> Result<&Store, Complaint> {
        let running = self.running.as_ref();
        let store = running.map(|running| &running.store);
        store.ok_or_else(|| "the server of the trial does not run".to_owned().into())
    }

    /// Starts a job, as `trainhook start` does.
    pub(super) async fn accept(&self, entry: ModelEntry) -> Result<JobId, Complaint> {
        let (_, run) = self.emulator.create_model_run(None, "conformance");
        let run = run.parse();
        let new = NewJob {
            workspace: "main".to_owned(),
            entry: Arc::new(entry),
            model_run_id: run.map_err(|error| format!("{error}"))?,
            model_id: None,
            parent: None,
            actor: "conformance".to_owned(),
            webhook: b"{}".to_vec().into(),
            redelivery_window: Duration::ZERO,
            limited: false,
        };
        match self.store()?.accept(new, Timestamp::now()).await {
            Ok(Acceptance::New(job)) => Ok(job.id),
            Ok(other) => Err(format!("the job was not taken: {other:?}").into()),
            Err(error) => Err(unreadable(&error)),
        }
    }

    pub(super) async fn job(&self, id: JobId) -> Result<Job, Complaint> {
        let job = self.store()?.job(id).await;
        let job = job.map_err(|error| unreadable(&error))?;
        job.ok_or_else(|| "the job is gone".to_owned().into())
    }

    /// The folder of the job's current attempt.
    pub(super) fn attempt_dir(&self, job: &Job) -> AttemptDir {
        JobDir::new(&self.config.server.jobs_dir, job.id).attempt(job.attempt)
    }

    /// Wishes a job to stop, as `trainhook jobs cancel` does.
    pub(super) async fn cancel(&self, id: JobId) -> Result<(), Complaint> {
        let now = Timestamp::now();
        let stop = Stop {
            cause: None,
            actor: "conformance".to_owned(),
            at: now,
        };
        let wished = self.store()?.wish_stop(id, stop, now).await;
        wished.map(drop).map_err(|error| unreadable(&error))
    }

    /// What the executor has not let go of yet.
    pub(super) async fn leftovers(&self) -> Result<Vec<Handle>, Complaint> {
        let far = Timestamp::now() + Duration::from_secs(24 * 3600);
        let left = self.store()?.leftovers_due(self.entry.name.clone(), far);
        let left = left.await.map_err(|error| unreadable(&error))?;
        Ok(left.into_iter().map(|leftover| leftover.handle).collect())
    }

    /// Waits for a job to get somewhere.
    pub(super) async fn wait_for(
        &self,
        id: JobId,
        what: &str,
        is_there: impl Fn(&Job) -> bool,
    ) -> Result<Job, Complaint> {
        let deadline = Instant::now() + self.patience();
        loop {
            let job = self.job(id).await?;
            if is_there(&job) {
                return Ok(job);
            }
            if job.state.is_terminal() || Instant::now() > deadline {
                return Err(format!("waiting for {what}: the job is {}", describe(&job)).into());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits for something that no job tells.
    pub(super) async fn until<T, L>(
        &self,
        what: &str,
        patience: Duration,
        mut look: impl FnMut() -> L + Send,
    ) -> Result<T, Complaint>
    where
        L: Future<Output = Result<Option<T>, Complaint>> + Send,
    {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            if Instant::now() > deadline {
                return Err(format!("waited too long for {what}").into());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Where a job stands, in a line.
pub(super) fn describe(job: &Job) -> String {
    let cause = job.cause.map(|cause| format!(", {cause}"));
    let message = job.message.as_ref().or(job.waiting.as_ref());
    let message = message.map(|message| format!(": {message}"));
    let state = job.state;
    format!(
        "{state}{}{}",
        cause.unwrap_or_default(),
        message.unwrap_or_default()
    )
}

fn unreadable(error: &StoreError) -> Complaint {
    Complaint::Broken(format!("the store of the trial: {error}"))
}

fn executor_of(subject: &Subject) -> Result<ExecutorEntry, StandError> {
    let entries = &subject.config.executors;
    let entry = entries.iter().find(|entry| entry.name == subject.executor);
    entry.cloned().ok_or_else(|| {
        let known: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let text = format!(
            "there is no [executors.{}]; those that exist: {}",
            subject.executor,
            known.join(", ")
        );
        StandError::Unknown(text)
    })
}

/// What the model of the trial says to this kind of executor.
fn tables_of(
    subject: &Subject,
    kind: &str,
) -> Result<
    std::collections::BTreeMap<String, serde_json::Map<String, serde_json::Value>>,
    StandError,
> {
    let models = &subject.config.models;
    let model = match &subject.model {
        None => models
            .iter()
            .find(|model| model.executor == subject.executor),
        Some(slug) => {
            let named = models.iter().find(|model| model.slug == *slug);
            let unknown = || StandError::Unknown(format!("there is no [models.{slug}]"));
            Some(named.ok_or_else(unknown)?)
        }
    };
    let tables = model.and_then(|model| model.kinds.get(kind));
    Ok(tables
        .map(|table| (kind.to_owned(), table.clone()))
        .into_iter()
        .collect())
}

/// Job directories must lie where the engine finds them: below those of the file, under a name that is no job's.
fn jobs_dir_in(jobs_dir: &Path) -> PathBuf {
    jobs_dir.join(format!("conformance-{}", Uuid::new_v4().simple()))
}

/// Where supervisors that share no files find the server: at one address, also after a restart.
async fn jobs_listener(config: &Config) -> std::io::Result<Option<JobsConfig>> {
    let Some(mut jobs) = config.server.jobs.clone() else {
        return Ok(None);
    };
    if jobs.listen.port() == 0 {
        jobs.listen = TcpListener::bind(jobs.listen).await?.local_addr()?;
    }
    Ok(Some(jobs))
}

/// A server on ports of the kernel's choice, whose Labelbox is the emulator.
fn settings(state_dir: &Path, endpoint: &str, entry: &ExecutorEntry) -> Result<Config, StandError> {
    fs::create_dir_all(state_dir)?;
    let key = state_dir.join("key");
    fs::write(&key, Uuid::new_v4().to_string())?;
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let key = quoted(&key.to_string_lossy());
    let (name, kind) = (quoted(&entry.name), quoted(&entry.kind));
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\nstate_dir = \"state\"\njobs_dir = \"jobs\"\n\
         [workspaces.main]\nwebhook_secrets = [{{ file = {key} }}]\napi_key = {{ file = {key} }}\n\
         endpoint = {endpoint}\n[executors.{name}]\nkind = {kind}\n\
         [models.trial]\nexecutor = {name}\ncommand = [\"true\"]\nworkdir = \"/\"\nexport = false\n\
         retry = {{ max = 0 }}\ncancel_grace = \"5s\"\nrun_timeout = \"30m\"\nlog_limit = \"64KiB\"\n",
        endpoint = quoted(endpoint),
    );
    let parsed = config::parse(&text, &state_dir.join("models.toml"));
    let mistakes: Vec<String> = parsed.mistakes.iter().map(ToString::to_string).collect();
    let unsound = || std::io::Error::other(mistakes.join("; ")).into();
    parsed.config.ok_or_else(unsound)
}
