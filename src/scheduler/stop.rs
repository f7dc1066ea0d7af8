//! Stopping: revoke what has not begun, ask what runs, and only then the engine.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::engine_loop::EngineLoop;
use crate::{
    job::{Cause, Change, Job, Stop},
    job_dir::{CancelRequest, Claim, ClaimOutcome, Claimant},
    store::StoreError,
};

/// What the server adds to a command's `run_timeout` and grace before it steps in itself: the
/// supervisor measures more exactly.
const TIMEOUT_SLACK: Duration = Duration::from_secs(60);

/// The same where files are not shared: data comes and outputs go within it.
const TRAVEL_SLACK: Duration = Duration::from_secs(6 * 3600);

/// Whether the server won an attempt's claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Revocation {
    /// No command of this attempt will ever start.
    Won,
    /// A supervisor was first: it runs, or has run.
    Lost,
}

impl EngineLoop {
    /// Tries to win the claim, so that nothing of this attempt can start any more.
    pub(super) async fn revoke(&self, job: &Job, reason: &str) -> Result<Revocation, StoreError> {
        let (dir, launch_id, reason) = (self.attempt_dir(job), job.launch_id(), reason.to_owned());
        let tried = tokio::task::spawn_blocking(move || dir.revoke(launch_id, &reason));
        match tried.await {
            Ok(Ok(ClaimOutcome::Won)) => Ok(Revocation::Won),
            Ok(Ok(ClaimOutcome::Lost(Claim {
                by: Claimant::Revoked { .. },
                ..
            }))) => Ok(Revocation::Won),
            Ok(Ok(ClaimOutcome::Lost(_))) => Ok(Revocation::Lost),
            Ok(Err(error)) => Err(StoreError::Unavailable(format!(
                "cannot write the job directory: {error}"
            ))),
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
    }

    /// Ends a job that is to stop and has not begun; false when it has begun after all.
    pub(super) async fn stopped_before_it_began(&self, job: &Job) -> Result<bool, StoreError> {
        let reason = job.stop.as_ref().map_or_else(String::new, Stop::describe);
        if self.revoke(job, &reason).await? == Revocation::Lost {
            return Ok(false);
        }
        self.leave_to_cleanup(job).await?;
        self.conclude_stop(job, Vec::new()).await?;
        Ok(true)
    }

    /// Passes a wish to stop on to a running command: the supervisor's channel first, then, after the
    /// grace, the engine. Makes the wish itself when the command has run too long.
    pub(super) async fn pass_on_stop(&self, job: &Job) -> Result<(), StoreError> {
        let Some(stop) = &job.stop else {
            return self.enforce_run_timeout(job).await;
        };
        let request = CancelRequest {
            grace_ms: job.entry.cancel_grace_ms,
            reason: stop.describe(),
        };
        let dir = self.attempt_dir(job);
        let asked = tokio::task::spawn_blocking(move || dir.request_cancel(&request)).await;
        if let Ok(Err(error)) = asked {
            tracing::warn!(job_id = %job.id, "cannot ask the supervisor to stop: {error}");
        }
        if self.overdue_for(job).is_some()
            && let Some(handle) = job.handle.clone()
        {
            let executor = Arc::clone(&self.engine.executor);
            self.ask_to_end(job, "does not stop it", async move {
                executor.cancel(&handle, Duration::ZERO).await
            });
        }
        Ok(())
    }

    /// For how long its supervisor should have ended a job that is to stop; none while it has time.
    pub(super) fn overdue_for(&self, job: &Job) -> Option<Duration> {
        job.stop.as_ref()?;
        let waited = self.with_memory(job, super::memory::Remembered::stopping_for);
        let supervisors =
            job.entry.cancel_grace() + self.engine.executor.settle().min(TIMEOUT_SLACK);
        waited.checked_sub(supervisors)
    }

    /// The net below the supervisor, which measures better. Measured on our own monotonic clock, so a
    /// clock that is set forward ends nothing, and a restart of the server begins anew.
    async fn enforce_run_timeout(&self, job: &Job) -> Result<(), StoreError> {
        let Some(timeout) = job.entry.run_timeout() else {
            return Ok(());
        };
        let slack = match self.engine.executor.shares_files() {
            true => TIMEOUT_SLACK,
            false => TRAVEL_SLACK,
        };
        let limit = timeout + job.entry.cancel_grace() + slack;
        if self.with_memory(job, super::memory::Remembered::running_for) > limit {
            let now = Timestamp::now();
            let actor = "trainhook".to_owned();
            let stop = Stop {
                cause: Some(Cause::RunTimeout),
                actor,
                at: now,
            };
            self.store().wish_stop(job.id, stop, now).await?;
        }
        Ok(())
    }

    /// Records that a job ended as somebody wished.
    pub(super) async fn conclude_stop(
        &self,
        job: &Job,
        mut changes: Vec<Change>,
    ) -> Result<(), StoreError> {
        let Some(stop) = &job.stop else { return Ok(()) };
        changes.push(match stop.cause {
            None => Change::Cancel,
            Some(cause) => Change::Fail {
                cause,
                message: stop.describe(),
            },
        });
        self.record(job, changes).await
    }

    /// Has whatever the engine may still hold of the attempt removed, by and by; also of one that was submitted, and
    /// whose answer never came, where the engine finds it by its name.
    pub(super) async fn leave_to_cleanup(&self, job: &Job) -> Result<(), StoreError> {
        let handle = match job.handle.clone() {
            Some(handle) => Some(handle),
            None => self.by_name(job).await,
        };
        let Some(handle) = handle else {
            return Ok(());
        };
        self.store()
            .add_leftover(self.engine.name.clone(), handle, Timestamp::now())
            .await
    }
}
