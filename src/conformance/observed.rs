//! The executor as it is, with its answers noted, and now and then an answer lost on the way.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use crate::{
    config::Table,
    executor::{CancelOutcome, Executor, Found, Launch, QueryError, SubmitError},
    job::{Handle, LaunchId, Observation, Phase},
};

/// The variable of a launch that names what goes wrong with its submit.
pub(super) const ACCIDENT: &str = "CONFORMANCE_ACCIDENT";

/// It is submitted twice, and the second answer counts.
pub(super) const TWICE: &str = "twice";

/// The engine takes it, and the answer is lost.
pub(super) const LOST: &str = "lost";

/// What was seen of the executor, by any server of the trial.
#[derive(Debug, Default)]
pub(super) struct Notes {
    inner: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    executor: Option<Arc<dyn Executor>>,
    launches: HashMap<LaunchId, SeenLaunch>,
}

/// What was seen of one launch.
#[derive(Debug, Clone, Default)]
pub(super) struct SeenLaunch {
    /// As it was submitted.
    pub(super) launch: Option<Launch>,
    /// What the engine answered, once for each submit.
    pub(super) handles: Vec<Handle>,
    /// What it was found as, if the server had to look.
    pub(super) found: Vec<Found>,
    /// The last look.
    pub(super) last: Option<Observation>,
}

impl Notes {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The executor of the server that runs.
    pub(super) fn executor(&self) -> Option<Arc<dyn Executor>> {
        self.seen().executor.clone()
    }

    pub(super) fn launch(&self, id: LaunchId) -> SeenLaunch {
        self.seen().launches.get(&id).cloned().unwrap_or_default()
    }

    /// Every handle that was ever given out.
    pub(super) fn handles(&self) -> Vec<Handle> {
        let seen = self.seen();
        let launches = seen.launches.values();
        launches.flat_map(|launch| launch.handles.clone()).collect()
    }

    fn note(&self, id: LaunchId, note: impl FnOnce(&mut SeenLaunch)) {
        note(self.seen().launches.entry(id).or_default());
    }

    /// Puts the notes between the server and the executor.
    pub(super) fn observe(self: &Arc<Self>, executor: Arc<dyn Executor>) -> Arc<dyn Executor> {
        self.seen().executor = Some(Arc::clone(&executor));
        let notes = Arc::clone(self);
        Arc::new(Observed { executor, notes })
    }
}

/// The executor between whose answers and the server the notes are taken.
#[derive(Debug)]
struct Observed {
    executor: Arc<dyn Executor>,
    notes: Arc<Notes>,
}

impl Observed {
    async fn submit_noted(&self, launch: &Launch) -> Result<Handle, SubmitError> {
        let handle = self.executor.submit(launch).await?;
        self.notes
            .note(launch.id, |seen| seen.handles.push(handle.clone()));
        Ok(handle)
    }
}

#[async_trait]
impl Executor for Observed {
    async fn submit(&self, launch: &Launch) -> Result<Handle, SubmitError> {
        let is_first = self.notes.launch(launch.id).launch.is_none();
        self.notes
            .note(launch.id, |seen| seen.launch = Some(launch.clone()));
        let handle = self.submit_noted(launch).await?;
        let accident = launch.env.get(ACCIDENT).map(|accident| accident.expose());
        match accident {
            Some(TWICE) if is_first => self.submit_noted(launch).await,
            Some(LOST) if is_first => Err(SubmitError::Ambiguous("the answer was lost".to_owned())),
            _ => Ok(handle),
        }
    }

    async fn find(&self, launch: &Launch) -> Result<Found, QueryError> {
        let found = self.executor.find(launch).await?;
        self.notes
            .note(launch.id, |seen| seen.found.push(found.clone()));
        Ok(found)
    }

    async fn observe(&self, handles: &[Handle]) -> Vec<Result<Observation, QueryError>> {
        let answers = self.executor.observe(handles).await;
        for (handle, answer) in handles.iter().zip(&answers) {
            if let Ok(observation) = answer {
                let last = Some(observation.clone());
                self.notes.note(handle.launch_id, |seen| seen.last = last);
            }
        }
        answers
    }

    async fn cancel(&self, handle: &Handle, grace: Duration) -> Result<CancelOutcome, QueryError> {
        self.executor.cancel(handle, grace).await
    }

    async fn cleanup(&self, handle: &Handle) -> Result<(), QueryError> {
        self.executor.cleanup(handle).await
    }

    fn handle_of(
        &self,
        launch_id: LaunchId,
        attempt_dir: &Path,
        server_id: &str,
    ) -> Option<Handle> {
        self.executor.handle_of(launch_id, attempt_dir, server_id)
    }

    fn check_model(&self, table: &mut Table) {
        self.executor.check_model(table);
    }

    async fn plan(&self, launch: &Launch) -> Result<String, SubmitError> {
        self.executor.plan(launch).await
    }

    async fn check(&self) -> Result<String, QueryError> {
        self.executor.check().await
    }

    async fn engine_log(&self, handle: &Handle) -> Option<String> {
        self.executor.engine_log(handle).await
    }

    fn devices(&self) -> Option<Vec<u32>> {
        self.executor.devices()
    }

    fn keeps_ended(&self) -> bool {
        self.executor.keeps_ended()
    }

    fn shares_files(&self) -> bool {
        self.executor.shares_files()
    }

    fn program(&self) -> Option<PathBuf> {
        self.executor.program()
    }

    fn settle(&self) -> Duration {
        self.executor.settle()
    }

    fn poll_interval(&self) -> Duration {
        self.executor.poll_interval()
    }

    fn poll_pause(&self) -> Duration {
        self.executor.poll_pause()
    }
}

impl SeenLaunch {
    /// Whether the engine had it in its own queue at the last look.
    pub(super) fn is_queued(&self) -> bool {
        matches!(&self.last, Some(last) if last.phase == Phase::Queued)
    }
}
