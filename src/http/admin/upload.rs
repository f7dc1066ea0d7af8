//! A new job that uploads what an ended one has predicted.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use warp::reply::Response;

use super::{Admin, jobs::Wish};
use crate::{
    http::error::ApiError,
    job::{Job, JobKind, JobState},
    store::NewJob,
};

impl Admin {
    /// The model as it stands in `models.toml` now says how many predictions may be refused; one that is gone is taken
    /// as the ended job knew it.
    pub(super) async fn retry_upload(&self, id: &str, body: &[u8]) -> Result<Response, ApiError> {
        let Wish { actor } = Wish::read(body)?;
        let job = self.find_job(id).await?;
        match job.state {
            JobState::Failed | JobState::Cancelled => {}
            JobState::Succeeded => return Err(ApiError::AlreadyUploaded(job.id)),
            _ => return Err(ApiError::StillLive(job.id)),
        }
        let entry = self.find_model(&job.entry.slug, &job.workspace);
        let entry = entry.unwrap_or_else(|_| Arc::new(job.entry.clone()));
        let webhook = Bytes::from(self.store.webhook(job.id).await?);
        self.accept(NewJob {
            workspace: job.workspace,
            entry,
            model_run_id: job.model_run_id,
            model_id: job.model_id,
            kind: JobKind::Upload,
            parent: Some(job.id),
            actor,
            webhook,
            redelivery_window: Duration::ZERO,
            limited: false,
        })
        .await
    }

    /// The job that has trained: this one, or the one whose predictions it uploads.
    pub(super) async fn training_of(&self, mut job: Job) -> Result<Job, ApiError> {
        while job.kind == JobKind::Upload {
            let parent = job.parent.ok_or(ApiError::NoSuch("training"))?;
            let parent = self.store.job(parent).await?;
            job = parent.ok_or(ApiError::NoSuch("training"))?;
        }
        Ok(job)
    }
}
