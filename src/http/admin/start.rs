//! Starting a job without the button: the same transaction, another actor.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use warp::{http::StatusCode, reply::Response};

use super::{Admin, jobs::checked_actor, view};
use crate::{
    config::ModelEntry,
    http::{answer, error::ApiError},
    job::{Job, JobKind},
    store::{Acceptance, NewJob},
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Start {
    model: String,
    model_run_id: String,
    model_id: Option<String>,
    workspace: Option<String>,
    actor: String,
}

impl Admin {
    pub(super) async fn start_job(&self, body: &[u8]) -> Result<Response, ApiError> {
        let start: Start = serde_json::from_slice(body).map_err(|error| {
            ApiError::Invalid(format!("the body cannot be understood: {error}"))
        })?;
        let workspace = self.choose_workspace(start.workspace)?;
        let entry = self.find_model(&start.model, &workspace)?;
        let model_run_id = start.model_run_id.parse();
        let model_run_id =
            model_run_id.map_err(|error| ApiError::Invalid(format!("modelRunId: {error}")))?;
        // The command finds in webhook.json what Labelbox would have sent.
        let webhook = match &start.model_id {
            Some(id) => {
                json!({"modelId": id, "modelRunId": model_run_id, "modelType": entry.title})
            }
            None => json!({"modelRunId": model_run_id, "modelType": entry.title}),
        };
        self.accept(NewJob {
            workspace,
            entry,
            model_run_id,
            model_id: start.model_id,
            kind: JobKind::Train,
            parent: None,
            actor: checked_actor(start.actor)?,
            webhook: Bytes::from(webhook.to_string()),
            redelivery_window: Duration::ZERO,
            limited: false,
        })
        .await
    }

    pub(super) async fn accept(&self, new: NewJob) -> Result<Response, ApiError> {
        let (job, duplicate) = self.begin_or_find(new).await?;
        self.show_begun(&job, duplicate).await
    }

    /// The run's live job, and whether it was there already.
    pub(super) async fn begin_or_find(&self, new: NewJob) -> Result<(Job, bool), ApiError> {
        match self.store.accept(new, Timestamp::now()).await? {
            Acceptance::New(job) => Ok((job, false)),
            Acceptance::Duplicate(job) => Ok((job, true)),
            Acceptance::OtherModel(job) => Err(ApiError::OtherModel {
                job_id: job.id,
                model_type: job.entry.title,
            }),
            Acceptance::OverLimit(limit) => Err(ApiError::TooMany(limit.to_string())),
        }
    }

    pub(super) async fn show_begun(
        &self,
        job: &Job,
        duplicate: bool,
    ) -> Result<Response, ApiError> {
        tracing::info!(job_id = %job.id, model_run_id = %job.model_run_id, actor = job.actor, duplicate, "started");
        let view = self.view(job, &mut view::Fullness::default()).await?;
        Ok(answer::json(
            StatusCode::OK,
            &json!({"job": view, "duplicate": duplicate}),
        ))
    }

    fn choose_workspace(&self, asked: Option<String>) -> Result<String, ApiError> {
        let config = self.config.get();
        let names: Vec<&str> = config
            .workspaces
            .iter()
            .map(|workspace| workspace.name.as_str())
            .collect();
        let there_are = || format!("those that exist: {}", names.join(", "));
        match (asked, names.as_slice()) {
            (Some(asked), _) if names.contains(&asked.as_str()) => Ok(asked),
            (Some(asked), _) => Err(ApiError::Invalid(format!(
                "there is no workspace {asked:?}; {}",
                there_are()
            ))),
            (None, [only]) => Ok((*only).to_owned()),
            (None, _) => Err(ApiError::Invalid(format!(
                "name a workspace; {}",
                there_are()
            ))),
        }
    }

    /// A model of this workspace by its slug or its title.
    pub(super) fn find_model(
        &self,
        asked: &str,
        workspace: &str,
    ) -> Result<Arc<ModelEntry>, ApiError> {
        let config = self.config.get();
        let mut workspaces = config.workspaces.iter();
        let offered = workspaces.find(|other| other.name == workspace);
        let offers = |model: &&ModelEntry| {
            offered.is_some_and(|workspace| match &workspace.models {
                Some(slugs) => slugs.contains(&model.slug),
                None => true,
            })
        };
        let models: Vec<&ModelEntry> = config.models.iter().filter(offers).collect();
        let found = models
            .iter()
            .find(|model| model.slug == asked || model.title == asked);
        found
            .map(|model| Arc::new((*model).clone()))
            .ok_or_else(|| {
                let slugs: Vec<&str> = models.iter().map(|model| model.slug.as_str()).collect();
                let offered = if slugs.is_empty() {
                    "is none".to_owned()
                } else {
                    format!("are: {}", slugs.join(", "))
                };
                ApiError::UnknownModelType {
                    asked: asked.chars().take(100).collect(),
                    offered,
                }
            })
    }
}
