//! Requests to train, made durable.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    config::{Config, Current},
    http::labelbox::{AcceptError, AcceptRuns, Accepted, RunRequest},
    store::{Acceptance, NewJob, Store, StoreError},
};

/// What Labelbox is asked to wait when the store cannot commit.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A disk that takes longer than this is as good as full: Labelbox is told to come again, and finds
/// the job if it was committed after all.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who wants what Labelbox sends.
const ACTOR: &str = "labelbox";

/// Accepts into the store.
#[derive(Debug)]
pub(super) struct StoreIntake {
    store: Store,
    config: Current<Config>,
}

impl StoreIntake {
    pub(super) fn boxed(store: Store, config: Current<Config>) -> Arc<dyn AcceptRuns> {
        Arc::new(Self { store, config })
    }
}

#[async_trait]
impl AcceptRuns for StoreIntake {
    async fn accept(&self, request: RunRequest) -> Result<Accepted, AcceptError> {
        let run = (request.workspace.clone(), request.model_run_id.clone());
        let new = NewJob {
            workspace: request.workspace,
            entry: request.model,
            model_run_id: request.model_run_id,
            model_id: request.model_id,
            kind: crate::job::JobKind::Train,
            parent: None,
            actor: ACTOR.to_owned(),
            webhook: request.webhook,
            redelivery_window: self.config.get().server.redelivery_window,
            limited: true,
        };
        let accepted = self.store.accept(new, Timestamp::now());
        let accepted = tokio::time::timeout(PATIENCE, accepted)
            .await
            .unwrap_or(Err(StoreError::Busy));
        let (job, duplicate) = match accepted {
            Ok(Acceptance::New(job)) => (job, false),
            Ok(Acceptance::Duplicate(job)) => (job, true),
            Ok(Acceptance::OtherModel(job)) => {
                return Err(AcceptError::OtherModel {
                    job_id: job.id,
                    model_type: job.entry.title,
                });
            }
            Ok(Acceptance::OverLimit(limit)) => {
                return Err(AcceptError::TooMany(limit.to_string()));
            }
            Err(error) => {
                let (workspace, model_run_id) = run;
                tracing::error!(workspace, %model_run_id, "a request could not be stored, and was refused: {error}");
                return Err(AcceptError::Unavailable {
                    retry_after: RETRY_AFTER,
                });
            }
        };
        Ok(Accepted {
            job_id: job.id,
            state: job.state,
            duplicate,
        })
    }
}
