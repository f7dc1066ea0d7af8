//! Ending jobs, and what Ray keeps of them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use reqwest::Method;

use super::{
    RayExecutor,
    api::{Body, Fault},
    handle::RayHandle,
    jobs::RayJob,
    submission::ENVIRONMENT,
};
use crate::{
    executor::{CancelOutcome, QueryError, shell, wish::wish_cancel_in},
    job::{Handle, LaunchId},
    job_dir::AttemptDir,
};

/// Bytes read of an answer to a wish.
const ANSWER_LIMIT: usize = 64 * 1024;

/// Bytes read of a job's log, which holds what the supervisor and Ray have to say.
const LOG_LIMIT: usize = 1024 * 1024;

/// Ray's monitor looks at a job every second until it has seen its end; one that it does not find then it writes down
/// as failed, without whose it was (2.60).
const MONITOR_PAUSE: Duration = Duration::from_secs(3);

/// On a busy head the monitor comes later.
const GHOST_PAUSE: Duration = Duration::from_secs(5);

/// The end of a job that runs is waited for so long.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks at it.
const PAUSE: Duration = Duration::from_secs(1);

/// A supervisor that has told how its command ended needs so long at most to end itself.
const LAST_STEPS: Duration = Duration::from_secs(5);

/// Attempts whose end is known here while Ray still sees them run, and since when.
#[derive(Debug, Default)]
pub(super) struct Ending {
    since: Mutex<HashMap<LaunchId, Instant>>,
}

impl Ending {
    /// Whether it may end by itself: to stop it would have Ray call it stopped, or failed, which it is not.
    fn is_given_time(&self, launch_id: LaunchId, now: Instant) -> bool {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        now.duration_since(*since.entry(launch_id).or_insert(now)) < LAST_STEPS
    }

    fn forget(&self, launch_id: LaunchId) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.remove(&launch_id);
    }
}

impl RayExecutor {
    /// Ray's own SIGTERM goes to every process of the job at once, and its grace is fixed at the submit. So a supervisor
    /// is asked by its own channel, which it sees where files are shared as well as by the mirror's answers; Ray itself
    /// is the last resort.
    pub(super) async fn end(
        &self,
        handle: &Handle,
        grace: Duration,
    ) -> Result<CancelOutcome, QueryError> {
        let unpacked = self.api.own(handle)?;
        let job = self.api.job(handle.launch_id).await?;
        let job = match job.filter(|job| job.is_of(&unpacked.server)) {
            Some(job) if !job.is_over() => job,
            _ => return Ok(CancelOutcome::AlreadyEnded),
        };
        let runs = job.status == "RUNNING";
        if runs && !grace.is_zero() {
            wish_cancel_in(unpacked.attempt_dir, grace).await?;
        } else if !(runs && self.ends_by_itself(handle.launch_id, &unpacked).await) {
            self.stop(handle.launch_id).await?;
        }
        Ok(CancelOutcome::Requested)
    }

    /// A job that waits is not ended by Ray before its turn, and cannot be deleted before its end: it takes nothing until
    /// then, and its supervisor will find its claim revoked.
    pub(super) async fn clean_up(&self, handle: &Handle) -> Result<(), QueryError> {
        let unpacked = self.api.own(handle)?;
        let launch_id = handle.launch_id;
        let is_there = self.see_it_ended(launch_id, &unpacked).await?;
        if is_there && !self.settings.keeps_ended {
            self.forget(launch_id).await?;
        }
        self.ending.forget(launch_id);
        shell::remove_variables(unpacked.attempt_dir.join(ENVIRONMENT)).await;
        Ok(())
    }

    /// Whether Ray still has the job, which is over.
    async fn see_it_ended(
        &self,
        launch_id: LaunchId,
        handle: &RayHandle,
    ) -> Result<bool, QueryError> {
        let begun = Instant::now();
        loop {
            let job = self.api.job(launch_id).await?;
            let is_ours = |job: &RayJob| job.is_of(&handle.server) || job.is_ghost();
            let Some(job) = job.filter(is_ours) else {
                return Ok(false);
            };
            if job.is_over() {
                return Ok(true);
            }
            let runs = job.status == "RUNNING";
            if !(runs && self.ends_by_itself(launch_id, handle).await) {
                self.stop(launch_id).await?;
            }
            if !runs || begun.elapsed() > END_PATIENCE {
                let status = job.status;
                return Err(QueryError(format!(
                    "Ray has not ended it yet: it is {status}"
                )));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Has Ray forget a job, and looks once more for what its monitor may have made of that.
    async fn forget(&self, launch_id: LaunchId) -> Result<(), QueryError> {
        tokio::time::sleep(MONITOR_PAUSE).await;
        self.delete(launch_id).await?;
        tokio::time::sleep(GHOST_PAUSE).await;
        let job = self.api.job(launch_id).await?;
        if job.is_some_and(|job| job.is_ghost()) {
            self.delete(launch_id).await?;
        }
        Ok(())
    }

    /// Whether its supervisor has written its record, and is about to leave.
    async fn ends_by_itself(&self, launch_id: LaunchId, handle: &RayHandle) -> bool {
        let dir = AttemptDir::at(handle.attempt_dir.clone());
        let read = tokio::task::spawn_blocking(move || dir.read_exit()).await;
        let is_recorded = matches!(read, Ok(Ok(Some(_))));
        is_recorded && self.ending.is_given_time(launch_id, Instant::now())
    }

    async fn stop(&self, launch_id: LaunchId) -> Result<(), Fault> {
        self.wish_of(Method::POST, format!("jobs/{launch_id}/stop"))
            .await
    }

    async fn delete(&self, launch_id: LaunchId) -> Result<(), Fault> {
        self.wish_of(Method::DELETE, format!("jobs/{launch_id}"))
            .await
    }

    /// A job that is gone meanwhile is what was wished.
    async fn wish_of(&self, method: Method, path: String) -> Result<(), Fault> {
        let limits = (self.settings.call_timeout, ANSWER_LIMIT);
        match self.api.call(method, &path, Body::Nothing, limits).await {
            Ok(_) => Ok(()),
            Err(fault) if fault.is_absence() => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// What Ray has written down of a job, without what it says of every job.
    pub(super) async fn last_words(&self, handle: &Handle) -> Option<String> {
        self.api.own(handle).ok()?;
        let path = format!("jobs/{}/logs", handle.launch_id);
        let answer = self.api.get(&path, LOG_LIMIT).await.ok()?;
        let answer: serde_json::Value = serde_json::from_slice(&answer).ok()?;
        let is_of_interest = |line: &&str| {
            !line.contains("Runtime env is setting up.")
                && !line.starts_with("Running entrypoint for job ")
        };
        let lines = answer.get("logs")?.as_str()?.lines();
        let lines: Vec<&str> = lines.filter(is_of_interest).collect();
        Some(lines.join("\n"))
    }
}
