//! Where requests to train are handed over to whoever makes them durable.

use std::{fmt::Debug, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;

use crate::{
    config::ModelEntry,
    http::error::ApiError,
    job::{JobId, JobState, ModelRunId},
};

/// Takes requests to train; the store behind it makes them durable.
#[async_trait]
pub trait AcceptRuns: Send + Sync + Debug {
    /// Makes `request` a job, or finds the live job that it repeats; returns only when that is on disk, and within
    /// a bounded time.
    ///
    /// A client that leaves early drops this future; what was committed stays.
    ///
    /// # Errors
    /// When the run is trained with another model, a limit is reached, or nothing can be committed now.
    async fn accept(&self, request: RunRequest) -> Result<Accepted, AcceptError>;
}

/// A request to train, its signature checked and its model found.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The name of the workspace it came to.
    pub workspace: String,
    /// The model as it stands in `models.toml` now.
    pub model: Arc<ModelEntry>,
    /// The run to train.
    pub model_run_id: ModelRunId,
    /// Labelbox's id of the run's model, if it was sent.
    pub model_id: Option<String>,
    /// The body exactly as it came.
    pub webhook: Bytes,
}

/// The job that answers a request; in JSON `{"jobId", "state", "duplicate"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// Its name.
    pub job_id: JobId,
    /// Where it stands.
    pub state: JobState,
    /// True when the job was there before this request.
    pub duplicate: bool,
}

impl Accepted {
    /// One word for logs.
    pub(super) const fn code(&self) -> &'static str {
        if self.duplicate {
            "duplicate"
        } else {
            "accepted"
        }
    }
}

/// Why a request becomes no job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AcceptError {
    /// A live job trains this run with another model.
    OtherModel {
        /// The live job.
        job_id: JobId,
        /// Its model's title.
        model_type: String,
    },
    /// Nothing can be committed now.
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// A spending limit is reached; the text says which.
    TooMany(String),
}

impl From<AcceptError> for ApiError {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::OtherModel { job_id, model_type } => {
                Self::OtherModel { job_id, model_type }
            }
            AcceptError::Unavailable { retry_after } => Self::Unavailable { retry_after },
            AcceptError::TooMany(reason) => Self::TooMany(reason),
        }
    }
}
