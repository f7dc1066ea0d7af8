//! Labelbox's routes, under each workspace's path: `GET /models`, `POST /model_run`, `GET /ping`.

mod intake;
mod payload;
mod workspace;

use std::{convert::Infallible, sync::Arc};

use bytes::{Buf, Bytes};
use futures_util::Stream;
use warp::{
    Filter,
    filters::path::FullPath,
    http::{HeaderMap, Method, StatusCode},
    reply::Response,
};

use self::{payload::Payload, workspace::Endpoint};
use super::{
    answer,
    body::BodyLimits,
    error::{ApiError, answer_rejection},
};
use crate::{config::Current, job::ModelRunId};

pub use intake::{AcceptError, AcceptRuns, Accepted, RunRequest};
pub use workspace::WorkspaceRoutes;

/// Labelbox's routes for all `workspaces`: an endpoint belongs to the workspace whose path is all that precedes it.
#[must_use]
pub fn labelbox_routes(
    workspaces: Current<Vec<WorkspaceRoutes>>,
    intake: Arc<dyn AcceptRuns>,
    limits: BodyLimits,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    let door = Arc::new(Door {
        workspaces,
        intake,
        limits,
    });
    // One filter for all: a tree of them would turn each miss into a rejection and cost more than the answer.
    warp::method()
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |method: Method, path: FullPath, headers, body| {
            let door = Arc::clone(&door);
            async move { door.answer(&method, path.as_str(), &headers, body).await }
        })
        .recover(answer_rejection)
        .unify()
}

/// Everything behind the routes.
#[derive(Debug)]
struct Door {
    workspaces: Current<Vec<WorkspaceRoutes>>,
    intake: Arc<dyn AcceptRuns>,
    limits: BodyLimits,
}

/// Why a request gets no 200, and for which run, once that is known.
struct Refusal {
    model_run_id: Option<ModelRunId>,
    error: ApiError,
}

impl<E: Into<ApiError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self {
            model_run_id: None,
            error: error.into(),
        }
    }
}

fn find<'a>(
    workspaces: &'a [WorkspaceRoutes],
    path: &str,
) -> Option<(&'a WorkspaceRoutes, Endpoint)> {
    let mut workspaces = workspaces.iter();
    workspaces.find_map(|workspace| Some((workspace, workspace.endpoint(path)?)))
}

impl Door {
    async fn answer<S, B>(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: S,
    ) -> Response
    where
        S: Stream<Item = Result<B, warp::Error>> + Send,
        B: Buf + Send,
    {
        let workspaces = self.workspaces.get();
        let Some((workspace, endpoint)) = find(&workspaces, path) else {
            return ApiError::NotFound.into_response();
        };
        let answer = async {
            endpoint.check_method(method)?;
            match endpoint {
                Endpoint::Ping => Ok(answer::json(StatusCode::OK, &"pong")),
                Endpoint::Models => {
                    workspace.signed_body(headers, body, self.limits).await?;
                    Ok(answer::prebuilt(StatusCode::OK, workspace.listing.clone()))
                }
                Endpoint::ModelRun => self.accept(workspace, headers, body).await,
            }
        };
        answer.await.unwrap_or_else(|refusal: Refusal| {
            log_refusal(&workspace.name, &refusal);
            refusal.error.into_response()
        })
    }

    async fn accept<S, B>(
        &self,
        workspace: &WorkspaceRoutes,
        headers: &HeaderMap,
        body: S,
    ) -> Result<Response, Refusal>
    where
        S: Stream<Item = Result<B, warp::Error>> + Send,
        B: Buf + Send,
    {
        let webhook = workspace.signed_body(headers, body, self.limits).await?;
        let payload = Payload::parse(&webhook)?;
        let model_run_id = payload.model_run_id.clone();
        match self.hand_over(workspace, payload, webhook).await {
            Ok(accepted) => {
                log_acceptance(&workspace.name, &model_run_id, &accepted);
                Ok(answer::json(StatusCode::OK, &accepted))
            }
            Err(error) => Err(Refusal {
                model_run_id: Some(model_run_id),
                error,
            }),
        }
    }

    async fn hand_over(
        &self,
        workspace: &WorkspaceRoutes,
        payload: Payload,
        webhook: Bytes,
    ) -> Result<Accepted, ApiError> {
        let request = RunRequest {
            workspace: workspace.name.clone(),
            model: workspace.find_model(&payload.model_type)?,
            model_run_id: payload.model_run_id,
            model_id: payload.model_id,
            webhook,
        };
        Ok(self.intake.accept(request).await?)
    }
}

fn log_acceptance(workspace: &str, model_run_id: &ModelRunId, accepted: &Accepted) {
    let (job_id, code) = (accepted.job_id, accepted.code());
    tracing::info!(workspace, %model_run_id, %job_id, code, "a run to train");
}

fn log_refusal(workspace: &str, refusal: &Refusal) {
    let model_run_id = refusal.model_run_id.as_ref().map(tracing::field::display);
    let code = refusal.error.code();
    tracing::info!(workspace, model_run_id, code, "a request refused");
}
