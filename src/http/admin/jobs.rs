//! Jobs: listed, shown, read, cancelled, retried.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use warp::{
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    reply::Response,
};

use super::{Admin, Parameters, view};
use crate::{
    http::{answer, error::ApiError},
    job::{Cause, Job, JobId, JobKind, Stop},
    job_dir::{JobDir, LogChunk},
    store::{Filter, NewJob},
};

/// Jobs in one list at most.
const LIST_LIMIT: u32 = 1000;

/// Bytes of a log in one answer at most.
const LOG_LIMIT: u64 = 4 << 20;

/// The body of whatever a person wants done.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    /// Who wants it.
    pub(super) actor: String,
}

impl Wish {
    pub(super) fn read(body: &[u8]) -> Result<Self, ApiError> {
        let wish: Self = serde_json::from_slice(body).map_err(|error| {
            ApiError::Invalid(format!("the body must be {{\"actor\": …}}: {error}"))
        })?;
        checked_actor(wish.actor).map(|actor| Self { actor })
    }
}

/// Names end up in messages that go to Labelbox.
pub(super) fn checked_actor(actor: String) -> Result<String, ApiError> {
    let fits = (1..=100).contains(&actor.chars().count()) && !actor.chars().any(char::is_control);
    if fits {
        Ok(actor)
    } else {
        Err(ApiError::Invalid(
            "actor must be 1 to 100 printable characters".to_owned(),
        ))
    }
}

impl Admin {
    pub(super) async fn list_jobs(&self, mut parameters: Parameters) -> Result<Response, ApiError> {
        let filter = Filter {
            state: parameters.take("state")?,
            live: parameters.take("live")?.unwrap_or(false),
            model: parameters.take("model")?,
            model_run_id: parameters.take("run")?,
            limit: parameters.take("limit")?.unwrap_or(50).min(LIST_LIMIT),
        };
        parameters.finish()?;
        let (mut views, mut fullness) = (Vec::new(), view::Fullness::default());
        for job in self.store.jobs(filter).await? {
            views.push(self.view(&job, &mut fullness).await?);
        }
        Ok(answer::json(StatusCode::OK, &json!({"jobs": views})))
    }

    pub(super) async fn show_job(&self, id: &str) -> Result<Response, ApiError> {
        let job = self.find_job(id).await?;
        let timeline = self.store.timeline(&job).await?;
        let reports = self.store.reports_of(job.id).await?;
        let mut view = self.view(&job, &mut view::Fullness::default()).await?;
        if let Some(record) = self.late_record(&job).await {
            view["lateRecord"] = record.into();
        }
        if let Some(leftover) = self.store.leftovers_of(job.id).await?.last() {
            view["leftover"] = view::leftover(leftover).into();
        }
        let shown = json!({
            "job": view,
            "timeline": view::timeline(&timeline),
            "reports": view::reports(&reports),
            "imports": view::imports(&self.store.imports(&job).await?),
        });
        Ok(answer::json(StatusCode::OK, &shown))
    }

    /// How the attempt of a lost job ended after all, where its record came later. The job stays as it is.
    async fn late_record(&self, job: &Job) -> Option<String> {
        if job.cause != Some(Cause::Lost) {
            return None;
        }
        let dir = JobDir::new(&self.jobs_dir, job.id).attempt(job.attempt);
        let read = tokio::task::spawn_blocking(move || {
            let record = dir.read_claimants_exit().ok()??;
            Some(format!("its record: {}", record.describe()))
        });
        read.await.ok()?
    }

    pub(super) async fn read_log(
        &self,
        id: &str,
        mut parameters: Parameters,
    ) -> Result<Response, ApiError> {
        let job = self.find_job(id).await?;
        let from = parameters.take("from")?.unwrap_or(0);
        let limit = parameters.take("limit")?.unwrap_or(1 << 20).min(LOG_LIMIT);
        let attempt = parameters.take("attempt")?.unwrap_or(job.attempt);
        parameters.finish()?;
        if !(1..=job.attempt).contains(&attempt) {
            return Err(ApiError::NoSuch("attempt"));
        }
        let dir = JobDir::new(&self.jobs_dir, job.id).attempt(attempt);
        let read = tokio::task::spawn_blocking(move || dir.read_log(from, limit)).await;
        match read {
            Ok(Ok(chunk)) => Ok(log_answer(chunk)),
            Ok(Err(error)) => Err(unreadable(&error)),
            Err(error) => Err(unreadable(&error)),
        }
    }

    pub(super) async fn cancel_job(&self, id: &str, body: &[u8]) -> Result<Response, ApiError> {
        let Wish { actor } = Wish::read(body)?;
        let job = self.find_job(id).await?;
        if job.state.is_terminal() {
            return Err(ApiError::AlreadyEnded(job.id));
        }
        let now = Timestamp::now();
        tracing::info!(job_id = %job.id, model_run_id = %job.model_run_id, actor, "a person wishes the job to stop");
        let job = self
            .store
            .wish_stop(
                job.id,
                Stop {
                    cause: None,
                    actor,
                    at: now,
                },
                now,
            )
            .await?;
        if job.state.is_terminal() {
            self.give_up_attempt(&job).await;
        }
        let view = self.view(&job, &mut view::Fullness::default()).await?;
        Ok(answer::json(StatusCode::OK, &json!({"job": view})))
    }

    /// A job that was cancelled before it began has nothing that could start; its folder says so to a store that is
    /// restored from an older backup.
    async fn give_up_attempt(&self, job: &Job) {
        let dir = JobDir::new(&self.jobs_dir, job.id).attempt(job.attempt);
        let (job_id, launch_id) = (job.id, job.launch_id());
        let reason = job.message.clone().unwrap_or_default();
        let revoked = tokio::task::spawn_blocking(move || dir.revoke(launch_id, &reason)).await;
        if let Ok(Err(error)) = revoked {
            tracing::warn!(%job_id, "the folder of a cancelled job cannot be written: {error}");
        }
    }

    /// A new job for the same run, with the model as it stands in `models.toml` now.
    pub(super) async fn retry_job(&self, id: &str, body: &[u8]) -> Result<Response, ApiError> {
        let Wish { actor } = Wish::read(body)?;
        let job = self.find_job(id).await?;
        if !job.state.is_terminal() {
            return Err(ApiError::StillLive(job.id));
        }
        let entry = self.find_model(&job.entry.slug, &job.workspace)?;
        let webhook = Bytes::from(self.store.webhook(job.id).await?);
        let new = NewJob {
            workspace: job.workspace,
            entry: Arc::clone(&entry),
            model_run_id: job.model_run_id,
            model_id: job.model_id,
            kind: JobKind::Train,
            parent: Some(job.id),
            actor,
            webhook,
            redelivery_window: std::time::Duration::ZERO,
            limited: false,
        };
        self.accept(new).await
    }

    pub(super) async fn find_job(&self, id: &str) -> Result<Job, ApiError> {
        let id: JobId = id
            .parse()
            .map_err(|error| ApiError::Invalid(format!("{id:?} is no job id: {error}")))?;
        self.store.job(id).await?.ok_or(ApiError::NoSuch("job"))
    }
}

fn unreadable(error: &dyn std::error::Error) -> ApiError {
    ApiError::Unreadable(format!("the log cannot be read: {error}"))
}

fn log_answer(chunk: LogChunk) -> Response {
    let mut response = Response::new(Bytes::from(chunk.bytes).into());
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    // A log is what a stranger's program wrote: no browser may take it for anything else than text.
    headers.insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    headers.insert("x-log-from", chunk.from.into());
    headers.insert("x-log-next", chunk.next.into());
    headers.insert("x-log-total", chunk.total.into());
    response
}
