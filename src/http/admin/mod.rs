//! The admin listener, for the command line: `/api/jobs…`, `/api/reports…`, `/api/start` and the like,
//! `/metrics`, `/healthz`, `/readyz`.

mod guard;
mod jobs;
mod metrics;
mod model;
mod parameters;
mod prune;
mod reports;
mod start;
mod upload;
mod view;
mod visits;

use std::{collections::BTreeMap, convert::Infallible, path::PathBuf, sync::Arc};

use bytes::Buf;
use futures_util::Stream;
use serde_json::json;
use tokio::sync::Notify;
use warp::{
    Filter,
    http::{Method, StatusCode},
    reply::Response,
};

use super::{
    answer,
    body::BodyLimits,
    error::ApiError,
    labelbox::WorkspaceRoutes,
    route::{Request, Responder, route},
    visits::Visits,
};
use crate::{
    config::{Config, Current},
    disk::Room,
    labelbox::Labelbox,
    meters::{Answering, ExportMeters},
    store::Store,
};
use parameters::Parameters;

pub use guard::AdminToken;

/// What the admin routes need.
#[derive(Debug)]
pub struct Admin {
    /// The store.
    pub store: Store,
    /// The settings in force.
    pub config: Current<Config>,
    /// How many jobs each executor holds at once.
    pub slots: BTreeMap<String, u32>,
    /// Where job directories lie.
    pub jobs_dir: PathBuf,
    /// What came to Labelbox's listener.
    pub visits: Arc<Visits>,
    /// The workspaces as Labelbox sees them, whose secrets know when they signed.
    pub routes: Current<Vec<WorkspaceRoutes>>,
    /// How much room the disks have.
    pub room: Current<Room>,
    /// The clients of Labelbox, by workspace.
    pub labelboxes: Current<BTreeMap<String, Labelbox>>,
    /// Whether the executors' engines answer.
    pub answering: BTreeMap<String, Arc<Answering>>,
    /// How exports fare.
    pub exports: Arc<ExportMeters>,
    /// Rung when somebody wants old files removed now.
    pub prune: Arc<Notify>,
    /// What every `/api` request must bear.
    pub token: AdminToken,
}

impl Responder for Admin {
    async fn answer<S, B>(
        &self,
        request: Request<'_>,
        body: S,
        limits: BodyLimits,
    ) -> Result<Response, ApiError>
    where
        S: Stream<Item = Result<B, warp::Error>> + Send,
        B: Buf + Send,
    {
        guard::check_origin(request.headers)?;
        let segments: Vec<&str> = request
            .path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .collect();
        match segments.as_slice() {
            ["healthz"] => {
                request.only(&Method::GET, "GET")?;
                Ok(answer::json(StatusCode::OK, &json!({"status": "ok"})))
            }
            ["readyz"] => {
                request.only(&Method::GET, "GET")?;
                Ok(self.readiness().await)
            }
            ["metrics"] => {
                request.only(&Method::GET, "GET")?;
                self.token.check(request.headers)?;
                self.metrics().await
            }
            ["api", rest @ ..] => {
                self.token.check(request.headers)?;
                match (is_get(rest), is_post(rest)) {
                    (true, _) => {
                        request.only(&Method::GET, "GET")?;
                        self.get(rest, Parameters::parse(request.query)?).await
                    }
                    (_, true) => {
                        request.only(&Method::POST, "POST")?;
                        guard::check_mutation(request.headers)?;
                        let body = limits.read(request.headers, body).await?;
                        self.post(rest, &body).await
                    }
                    _ => Err(ApiError::NotFound),
                }
            }
            _ => Err(ApiError::NotFound),
        }
    }
}

impl Admin {
    async fn get(&self, path: &[&str], parameters: Parameters) -> Result<Response, ApiError> {
        match path {
            ["jobs"] => self.list_jobs(parameters).await,
            ["jobs", id] => self.show_job(id).await,
            ["jobs", id, "log"] => self.read_log(id, parameters).await,
            ["jobs", id, "model"] => self.send_model(id, parameters).await,
            ["reports"] => self.list_reports(parameters).await,
            ["prunable"] => self.list_prunable().await,
            ["refused"] => Ok(self.list_refused()),
            ["secrets"] => Ok(self.list_secrets()),
            ["readiness"] => Ok(self.show_readiness().await),
            _ => Err(ApiError::NotFound),
        }
    }

    async fn post(&self, path: &[&str], body: &[u8]) -> Result<Response, ApiError> {
        match path {
            ["jobs", id, "cancel"] => self.cancel_job(id, body).await,
            ["jobs", id, "retry"] => self.retry_job(id, body).await,
            ["jobs", id, "retry-upload"] => self.retry_upload(id, body).await,
            ["start"] => self.start_job(body).await,
            ["prune"] => self.prune(body),
            ["reports", id, action] => self.settle_report(id, action, body).await,
            _ => Err(ApiError::NotFound),
        }
    }
}

/// Whether there is something to read at a path below `/api`.
fn is_get(path: &[&str]) -> bool {
    matches!(
        path,
        ["jobs" | "reports" | "prunable" | "refused" | "secrets" | "readiness"]
            | ["jobs", _]
            | ["jobs", _, "log" | "model"]
    )
}

/// Whether something can be done at a path below `/api`.
fn is_post(path: &[&str]) -> bool {
    matches!(
        path,
        ["start" | "prune"]
            | ["jobs", _, "cancel" | "retry" | "retry-upload"]
            | ["reports", _, "resend" | "drop"]
    )
}

/// The routes of the admin listener.
#[must_use]
pub fn admin_routes(
    admin: Admin,
    limits: BodyLimits,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    route(admin, limits)
}
