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
        let job = self.last_upload(job).await?;
        let entry = self.find_model(&job.entry.slug, &job.workspace);
        let entry = entry.unwrap_or_else(|_| Arc::new(job.entry.clone()));
        let webhook = Bytes::from(self.store.webhook(job.id).await?);
        let new = NewJob {
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
        };
        match self.begin_or_find(new).await? {
            (job, false) => self.show_begun(&job, false).await,
            // Somebody else has begun since the jobs were looked at.
            (job, true) => Err(overtaken_by(&job)),
        }
    }

    /// The last job that tried to upload what the same training predicted; only that one knows all that was sent.
    async fn last_upload(&self, job: Job) -> Result<Job, ApiError> {
        let trained = self.training_of(job).await?;
        let uploads = self.store.uploads_of(&trained).await?;
        let mut last = trained;
        for job in uploads {
            may_be_repeated(&last)?;
            last = job;
        }
        may_be_repeated(&last).map(|()| last)
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

/// What has arrived, or is on its way, is not sent again.
const fn may_be_repeated(job: &Job) -> Result<(), ApiError> {
    match job.state {
        JobState::Failed | JobState::Cancelled => Ok(()),
        JobState::Succeeded => Err(ApiError::AlreadyUploaded(job.id)),
        _ => Err(ApiError::StillLive(job.id)),
    }
}

/// Why nothing is begun beside a job that began at the same moment.
fn overtaken_by(job: &Job) -> ApiError {
    match may_be_repeated(job) {
        Err(error) => error,
        Ok(()) => ApiError::Overtaken(job.id),
    }
}
