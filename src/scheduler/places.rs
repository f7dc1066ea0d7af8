//! Where launches are sent, for executors that may be made to point elsewhere: a launch whose submit was cut off is
//! neither looked for nor started again on another engine than the one it was sent to.

use std::io;

use super::engine_loop::EngineLoop;
use crate::{
    job::{Handle, Job, JobState, Place},
    job_dir::{Claimant, JobDir},
    store::StoreError,
};

impl EngineLoop {
    /// Why it cannot be told here whether an earlier submit of this attempt has worked; none if it can.
    pub(super) async fn why_unsure(&self, job: &Job, now: Option<&Place>) -> Option<String> {
        let now = now?;
        match self.sent_to(job).await {
            Ok(sent) => sent?.unsure_from(now),
            Err(error) => Some(format!(
                "cannot read where the attempt may have been sent: {error}"
            )),
        }
    }

    /// Keeps a job that may have been taken elsewhere until its executor points back there, or somebody stops it. What
    /// has begun there is followed by what its supervisor tells.
    pub(super) async fn hold(&self, job: &Job, why: String) -> Result<(), StoreError> {
        if job.stop.is_some() && self.stopped_before_it_began(job).await? {
            return Ok(());
        }
        if let Some(handle) = self.by_name(job).await
            && handle.place.is_some()
            && self.has_begun(job).await
        {
            return self.submitted(job, handle).await;
        }
        self.wait(job, why).await
    }

    /// Notes the engine before the attempt is sent to it.
    pub(super) async fn note_place(&self, job: &Job, place: Option<&Place>) -> io::Result<()> {
        let Some(place) = place.cloned() else {
            return Ok(());
        };
        let (dir, attempt) = (self.job_dir(job), job.attempt);
        let noted = tokio::task::spawn_blocking(move || dir.note_place(attempt, &place));
        noted.await.map_err(io::Error::other)?
    }

    /// The engine has not taken it: any other may.
    pub(super) async fn forget_place(&self, job: &Job) {
        let (dir, attempt) = (self.job_dir(job), job.attempt);
        let forgotten = tokio::task::spawn_blocking(move || dir.forget_place(attempt)).await;
        if let Ok(Err(error)) = forgotten {
            tracing::warn!(job_id = %job.id, "cannot take back where it was sent: {error}");
        }
    }

    /// The handle by which an engine finds the attempt without having told one, where it can.
    pub(super) async fn by_name(&self, job: &Job) -> Option<Handle> {
        let (dir, server) = (self.attempt_dir(job), self.store().server_id());
        let executor = &self.engine.executor;
        let handle = executor.handle_of(job.launch_id(), dir.path(), server)?;
        let sent = self.sent_to(job).await.ok().flatten();
        Some(handle.or_at(sent))
    }

    async fn sent_to(&self, job: &Job) -> io::Result<Option<Place>> {
        let (dir, attempt) = (self.job_dir(job), job.attempt);
        let read = tokio::task::spawn_blocking(move || dir.read_place(attempt));
        read.await.map_err(io::Error::other)?
    }

    /// Whether a supervisor has claimed the attempt; a job that runs was seen to have one.
    pub(super) async fn has_begun(&self, job: &Job) -> bool {
        if job.state == JobState::Running {
            return true;
        }
        let dir = self.attempt_dir(job);
        let claim = tokio::task::spawn_blocking(move || dir.read_claim()).await;
        let claim = claim.ok().and_then(Result::ok).flatten();
        claim.is_some_and(|claim| matches!(claim.by, Claimant::Supervisor { .. }))
    }

    fn job_dir(&self, job: &Job) -> JobDir {
        JobDir::new(&self.context.jobs_dir, job.id)
    }
}
