//! Processes of this machine, each under a supervisor that outlives the server.
//!
//! Alive means that the attempt's lock is held; no pid is signalled before its start time was compared.

mod gpus;
mod handle;
mod look;
mod spawn;
mod watch;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{sync::Notify, task::spawn_blocking};

use super::{BuildContext, Built, CancelOutcome, Executor, Found, Launch, QueryError, SubmitError};
use crate::{
    config::Table,
    job::{Handle, Observation, Phase},
    job_dir::{AttemptDir, files},
    mirror::home_of,
};
pub use gpus::gpus_from;
use handle::LocalHandle;
use watch::Watchers;

/// Bytes shown of what a supervisor had to say.
const ENGINE_LOG_LIMIT: u64 = 64 * 1024;

/// Builds it from its table: `gpus = "auto"` or `[0, 1]`, and `mirror = "DIR"`. May ask the driver and wait for it.
///
/// # Errors
/// What is wrong with the table.
pub fn build(table: &mut Table, context: &BuildContext<'_>) -> Built {
    let node = table.string("mirror");
    let node = node.map(|folder| std::path::absolute(&folder).unwrap_or_else(|_| folder.into()));
    match gpus_from(table.value("gpus")) {
        Ok(gpus) => {
            let executor = LocalExecutor::new(gpus, Arc::clone(&context.wake));
            Ok(Arc::new(LocalExecutor { node, ..executor }))
        }
        Err(text) => {
            table.mistake("gpus", text);
            Err(Vec::new())
        }
    }
}

/// Runs launches as processes of this machine.
#[derive(Debug)]
pub struct LocalExecutor {
    gpus: Vec<u32>,
    program: Option<PathBuf>,
    /// Attempts run below it as they would on another machine: they reach their job directory over HTTP alone.
    node: Option<PathBuf>,
    watchers: Arc<Watchers>,
}

impl LocalExecutor {
    /// Hands out `gpus`, and notifies `wake` whenever an attempt's supervisor ends.
    #[must_use]
    pub fn new(gpus: Vec<u32>, wake: Arc<Notify>) -> Self {
        Self {
            gpus,
            program: None,
            node: None,
            watchers: Arc::new(Watchers::new(wake)),
        }
    }

    /// Runs supervisors from `program` instead of from the running program itself: for those who
    /// embed the executor in a program without the `supervise` command.
    #[must_use]
    pub fn with_program(mut self, program: PathBuf) -> Self {
        self.program = Some(program);
        self
    }

    /// Where an attempt's supervisor works.
    fn place(&self, launch: &Launch) -> AttemptDir {
        match &self.node {
            None => AttemptDir::at(launch.attempt_dir.clone()),
            Some(node) => home_of(node, launch.id).attempt(launch.id.attempt),
        }
    }
}

#[async_trait]
impl Executor for LocalExecutor {
    async fn submit(&self, launch: &Launch) -> Result<Handle, SubmitError> {
        let (mut owned, program, gpus) = (launch.clone(), self.program.clone(), self.gpus.clone());
        let place = self.place(launch);
        if let Some(node) = &self.node {
            let words = ["--work-dir".to_owned(), node.to_string_lossy().into_owned()];
            owned.argv.extend(words);
        }
        let spawned = blocking(move || {
            let supervisor = spawn::spawn(&owned, &place, program.as_deref(), &gpus)?;
            let handle = LocalHandle::of_child(supervisor.id(), place.path());
            Ok::<_, SubmitError>((supervisor, handle))
        });
        let spawned = spawned.await;
        let (mut supervisor, handle) =
            spawned.map_err(|error| SubmitError::Ambiguous(error.0))??;
        let done = self.watchers.enter(launch.id);
        tokio::spawn(async move {
            // The wait only takes it out of the table of processes; how it ended stands in the exit record.
            let _ = supervisor.wait().await;
            drop(done);
        });
        Ok(handle.pack(launch.id)?)
    }

    async fn find(&self, launch: &Launch) -> Result<Found, QueryError> {
        let dir = self.place(launch);
        let launch_id = launch.id;
        blocking(move || look::find(&dir, launch_id)).await?
    }

    async fn observe(&self, handles: &[Handle]) -> Vec<Result<Observation, QueryError>> {
        let owned = handles.to_vec();
        let looked = blocking(move || owned.iter().map(look::observe).collect::<Vec<_>>()).await;
        let looks = match looked {
            Ok(looks) => looks,
            Err(error) => return handles.iter().map(|_| Err(error.clone())).collect(),
        };
        let both = handles.iter().zip(looks);
        both.map(|(handle, look)| {
            let look = look?;
            if let (Phase::Running, Some(supervisor)) = (&look.observation.phase, look.supervisor) {
                self.watchers.watch(handle.launch_id, supervisor);
            }
            Ok(look.observation)
        })
        .collect()
    }

    async fn cancel(&self, handle: &Handle, grace: Duration) -> Result<CancelOutcome, QueryError> {
        let handle = handle.clone();
        blocking(move || look::cancel(&handle, grace)).await?
    }

    async fn cleanup(&self, handle: &Handle) -> Result<(), QueryError> {
        let handle = handle.clone();
        blocking(move || look::cleanup(&handle)).await?
    }

    async fn check(&self) -> Result<String, QueryError> {
        Ok(gpus::describe(&self.gpus))
    }

    async fn engine_log(&self, handle: &Handle) -> Option<String> {
        let folder = LocalHandle::unpack(handle).ok()?.attempt_dir;
        let read = move || files::read_untrusted(&folder, "supervisor.log", ENGINE_LOG_LIMIT);
        let text = blocking(read).await.ok()?.ok()??;
        Some(String::from_utf8_lossy(&text).into_owned())
    }

    fn devices(&self) -> Option<Vec<u32>> {
        Some(self.gpus.clone())
    }

    fn shares_files(&self) -> bool {
        self.node.is_none()
    }

    fn settle(&self) -> Duration {
        Duration::ZERO
    }

    fn poll_interval(&self) -> Duration {
        Duration::from_secs(1)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, QueryError> {
    spawn_blocking(work)
        .await
        .map_err(|error| QueryError(format!("looking at the processes failed: {error}")))
}
