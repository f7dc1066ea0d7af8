//! What retention would remove, and the wish that it does so now.

use jiff::Timestamp;
use serde_json::{Value, json};
use warp::{http::StatusCode, reply::Response};

use super::{Admin, jobs::Wish, view::time};
use crate::{
    http::{answer, error::ApiError},
    job_dir::JobDir,
    store::Prunable,
};

/// Jobs in one list at most.
const LIST_LIMIT: u32 = 1000;

impl Admin {
    pub(super) async fn list_prunable(&self) -> Result<Response, ApiError> {
        let retention = self.config.get().retention.clone();
        let prunable = self
            .store
            .prunable(&retention, Timestamp::now(), LIST_LIMIT);
        let (prunable, jobs_dir) = (prunable.await?, self.jobs_dir.clone());
        let view = move |prunable: Prunable| {
            let size = JobDir::new(&jobs_dir, prunable.job).size_of(&prunable.parts);
            let parts = prunable.parts.iter().map(|part| part.as_str());
            json!({
                "job": prunable.job, "model": prunable.model, "endedAt": time(prunable.ended_at),
                "parts": parts.collect::<Vec<_>>(), "bytes": size,
            })
        };
        // Sizes are summed up from the files.
        let views = move || prunable.into_iter().map(view).collect::<Vec<Value>>();
        let views = tokio::task::spawn_blocking(views).await;
        let views = views.map_err(|error| ApiError::Unreadable(error.to_string()))?;
        Ok(answer::json(StatusCode::OK, &json!({"prunable": views})))
    }

    pub(super) fn prune(&self, body: &[u8]) -> Result<Response, ApiError> {
        let Wish { actor } = Wish::read(body)?;
        tracing::info!(actor, "a person wishes old files to be removed");
        self.prune.notify_one();
        Ok(answer::json(StatusCode::OK, &json!({})))
    }
}
