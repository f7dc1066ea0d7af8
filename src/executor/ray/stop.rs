//! Ending jobs, and what Ray keeps of them.

use std::{path::PathBuf, time::Duration};

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
        match job.status == "RUNNING" && !grace.is_zero() {
            true => wish(unpacked.attempt_dir, grace).await?,
            false => self.stop(handle.launch_id).await?,
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
                self.stop(launch_id).await?;
                let status = job.status;
                return Err(QueryError(format!(
                    "Ray has not ended it yet: it is {status}"
                )));
            }
            if !self.settings.keeps_ended {
                self.delete(launch_id).await?;
            }
        }
        shell::remove_variables(unpacked.attempt_dir.join(ENVIRONMENT)).await;
        Ok(())
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
