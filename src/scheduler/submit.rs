//! From a slot to the engine: the write-ahead launch id is committed, now the executor is called.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    attempt,
    engine_loop::{CALL_TIMEOUT, EngineLoop},
    launch::Unprepared,
    stop::Revocation,
};
use crate::{
    backoff::Backoff,
    executor::{Found, Launch, SubmitError},
    job::{Cause, Change, Engine, Handle, Job, JobState},
    store::StoreError,
};

/// Between tries to submit: 2 s, 4 s, 8 s, … 5 min.
const SUBMIT_BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(2),
    most: Duration::from_secs(300),
};

/// Whether the engine may already have the launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It was never submitted.
    New,
    /// A crash or a lost answer lies between: look before submitting again.
    Perhaps,
}

impl EngineLoop {
    /// One step of a job whose handle is not known.
    pub(super) async fn submit(&self, job: Job, known: Known) -> Result<(), StoreError> {
        // The list it comes from may have been read before another task was done with it.
        if known == Known::Perhaps && !self.is_current(&job).await? {
            return Err(StoreError::Stale);
        }
        let mut launch = match self.prepare(&job).await {
            Ok(launch) => launch,
            Err(unprepared) => return self.unprepared(&job, unprepared).await,
        };
        let place = match self.place().await {
            Ok(place) => place,
            Err(error) => {
                return self
                    .unprepared(&job, Unprepared::Yet(error.to_string()))
                    .await;
            }
        };
        if let Some(why) = self.why_unsure(&job, place.as_ref()).await {
            return self.hold(&job, why).await;
        }
        if known == Known::Perhaps
            && let Some(handle) = self.find(&launch).await
        {
            return self.submitted(&job, handle.or_at(place)).await;
        }
        if known == Known::Perhaps && self.has_begun(&job).await {
            return self.follow(job).await;
        }
        if job.stop.is_some() {
            return match self.stopped_before_it_began(&job).await? {
                true => Ok(()),
                false => self.follow(job).await,
            };
        }
        if let Err(unprepared) = self.add_secrets(&job, &mut launch).await {
            return self.unprepared(&job, unprepared).await;
        }
        if let Err(error) = self.note_place(&job, place.as_ref()).await {
            let reason = format!("cannot write the job directory: {error}");
            return self.wait_in_time(&job, reason).await;
        }
        match self.call_submit(&launch).await {
            Ok(handle) => self.submitted(&job, handle.or_at(place)).await,
            Err(SubmitError::Rejected(reason)) => self.give_up(&job, Cause::Rejected, reason).await,
            Err(SubmitError::Transient(reason)) => {
                self.forget_place(&job).await;
                self.wait_in_time(&job, reason).await
            }
            Err(SubmitError::Ambiguous(reason)) => self.wait_in_time(&job, reason).await,
        }
    }

    /// What is missing is waited for, unless the job is to stop.
    async fn unprepared(&self, job: &Job, unprepared: Unprepared) -> Result<(), StoreError> {
        let reason = match unprepared {
            Unprepared::Yet(reason) => reason,
            Unprepared::Never(reason) => {
                return self.give_up(job, Cause::StartFailed, reason).await;
            }
        };
        if self.has_begun(job).await {
            return self.follow(job.clone()).await;
        }
        if job.stop.is_some() && self.stopped_before_it_began(job).await? {
            return Ok(());
        }
        self.wait_in_time(job, reason).await
    }

    /// A supervisor has claimed, and no engine tells a handle: what the attempt itself leaves in its folder is followed, to
    /// its end. To submit it again would start nothing, and find out nothing.
    async fn follow(&self, job: Job) -> Result<(), StoreError> {
        if let Some(handle) = self.by_name(&job).await {
            return self.submitted(&job, handle).await;
        }
        let silent = self.with_memory(&job, |memory| memory.unanswered(false));
        let again = attempt::step(self, job, Engine::Silent(silent)).await?;
        let next = Timestamp::now() + self.poll_interval();
        self.store().check_again(again.as_slice(), next).await
    }

    /// Waits, unless it has waited too long already: it holds a slot meanwhile.
    async fn wait_in_time(&self, job: &Job, reason: String) -> Result<(), StoreError> {
        let now = Timestamp::now();
        if job.queue_deadline.is_some_and(|deadline| deadline <= now) {
            let reason = format!("waited longer than its queue_timeout: {reason}");
            return self.give_up(job, Cause::QueueTimeout, reason).await;
        }
        self.wait(job, reason).await
    }

    async fn is_current(&self, job: &Job) -> Result<bool, StoreError> {
        let now = self.store().job(job.id).await?;
        Ok(now.is_some_and(|now| now.version == job.version))
    }

    async fn call_submit(&self, launch: &Launch) -> Result<Handle, SubmitError> {
        let submitted =
            tokio::time::timeout(CALL_TIMEOUT, self.engine.executor.submit(launch)).await;
        submitted.unwrap_or_else(|_| {
            Err(SubmitError::Ambiguous(
                "the engine did not answer in time".to_owned(),
            ))
        })
    }

    /// The first attempt that the engine has under the launch id; more than one is harmless by the claim.
    async fn find(&self, launch: &Launch) -> Option<Handle> {
        let found = tokio::time::timeout(CALL_TIMEOUT, self.engine.executor.find(launch)).await;
        match found {
            Ok(Ok(Found::Attempts(handles))) => handles.into_iter().next(),
            Ok(Ok(Found::Absent | Found::Unknowable)) => None,
            Ok(Err(error)) => {
                tracing::warn!(launch_id = %launch.id, "cannot look for the launch: {error}");
                None
            }
            Err(_) => None,
        }
    }

    pub(super) async fn submitted(&self, job: &Job, handle: Handle) -> Result<(), StoreError> {
        self.with_memory(job, super::memory::Remembered::clear_failures);
        let now = Timestamp::now();
        let submitted = self
            .store()
            .change(job, vec![Change::Submitted(handle)], now)
            .await?;
        tracing::info!(job_id = %job.id, model_run_id = %job.model_run_id, launch_id = %job.launch_id(), "submitted");
        // Something was already known of it before the handle was: have it looked at now.
        if submitted.state == JobState::Pending {
            self.engine.wake.notify_one();
        }
        Ok(())
    }

    pub(super) async fn wait(&self, job: &Job, reason: String) -> Result<(), StoreError> {
        let failures = self.with_memory(job, super::memory::Remembered::count_failure);
        let now = Timestamp::now();
        let reason = self.redact(job, reason).await;
        tracing::warn!(job_id = %job.id, executor = self.engine.name, failures, "cannot submit yet: {reason}");
        let reason = Some(format!("executor {}: {reason}", self.engine.name));
        let job = match job.waiting == reason {
            true => job.clone(),
            false => {
                self.store()
                    .change(job, vec![Change::Wait(reason)], now)
                    .await?
            }
        };
        self.store()
            .check_again(&[job], now + SUBMIT_BACKOFF.delay(failures))
            .await
    }

    /// Ends a launch that cannot be: only by winning its claim, since an earlier submit may have worked.
    async fn give_up(&self, job: &Job, cause: Cause, reason: String) -> Result<(), StoreError> {
        match self.revoke(job, &reason).await? {
            Revocation::Won => {
                self.leave_to_cleanup(job).await?;
                self.conclude_failure(job, Vec::new(), cause, reason).await
            }
            Revocation::Lost => self.follow(job.clone()).await,
        }
    }
}
