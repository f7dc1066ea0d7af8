//! Ending jobs, and what Ray keeps of them.

use std::{
    collections::HashMap,
    path::PathBuf,
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
    executor::{CancelOutcome, QueryError, shell},
    job::{Handle, LaunchId},
    job_dir::{AttemptDir, CancelRequest},
};

/// Bytes read of an answer to a wish.
const ANSWER_LIMIT: usize = 64 * 1024;

/// Bytes read of a job's log, which holds what the supervisor and Ray have to say.
const LOG_LIMIT: usize = 1024 * 1024;

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
        let unpacked = RayHandle::unpack(handle)?;
        let job = match self.own_job(handle.launch_id, &unpacked).await? {
            Some(job) if !job.is_over() => job,
            _ => return Ok(CancelOutcome::AlreadyEnded),
        };
        let runs = job.status == "RUNNING";
        if runs && !grace.is_zero() {
            wish(unpacked.attempt_dir, grace).await?;
        } else if !(runs && self.ends_by_itself(handle.launch_id, &unpacked).await) {
            self.stop(handle.launch_id).await?;
        }
        Ok(CancelOutcome::Requested)
    }

    /// A job that waits is not ended by Ray before its turn, and cannot be deleted before its end: it takes nothing until
    /// then, and its supervisor will find its claim revoked.
    pub(super) async fn clean_up(&self, handle: &Handle) -> Result<(), QueryError> {
        let unpacked = RayHandle::unpack(handle)?;
        let launch_id = handle.launch_id;
        if let Some(job) = self.own_job(launch_id, &unpacked).await? {
            if !job.is_over() {
                let runs = job.status == "RUNNING";
                if !(runs && self.ends_by_itself(launch_id, &unpacked).await) {
                    self.stop(launch_id).await?;
                }
                let status = job.status;
                return Err(QueryError(format!(
                    "Ray has not ended it yet: it is {status}"
                )));
            }
            if !self.settings.keeps_ended {
                self.delete(launch_id).await?;
            }
        }
        self.ending.forget(launch_id);
        shell::remove_variables(unpacked.attempt_dir.join(ENVIRONMENT)).await;
        Ok(())
    }

    /// Whether its supervisor has written its record, and is about to leave.
    async fn ends_by_itself(&self, launch_id: LaunchId, handle: &RayHandle) -> bool {
        let dir = AttemptDir::at(handle.attempt_dir.clone());
        let read = tokio::task::spawn_blocking(move || dir.read_exit()).await;
        let is_recorded = matches!(read, Ok(Ok(Some(_))));
        is_recorded && self.ending.is_given_time(launch_id, Instant::now())
    }

    /// The job of that name, if this server has made it.
    async fn own_job(
        &self,
        launch_id: LaunchId,
        handle: &RayHandle,
    ) -> Result<Option<RayJob>, Fault> {
        let job = self.api.job(launch_id).await?;
        Ok(job.filter(|job| job.is_of(&handle.server)))
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

/// Leaves the wish for the supervisor, with its grace.
async fn wish(folder: PathBuf, grace: Duration) -> Result<(), QueryError> {
    let request = CancelRequest {
        grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
        reason: "cancelled by the server".to_owned(),
    };
    let written = move || AttemptDir::at(folder).request_cancel(&request);
    let written = tokio::task::spawn_blocking(written).await;
    let written = written.map_err(|error| QueryError(error.to_string()))?;
    written.map_err(|error| QueryError(format!("cannot write cancel.json: {error}")))
}
