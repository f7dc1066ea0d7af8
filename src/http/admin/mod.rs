//! The admin listener, for the command line: `/api/jobs…`, `/api/reports…`, `/api/start`, `/healthz`, `/readyz`.

mod guard;
mod jobs;
mod parameters;
mod prune;
mod reports;
mod start;
mod view;
mod visits;

use std::{collections::BTreeMap, convert::Infallible, path::PathBuf, sync::Arc};

use bytes::{Buf, Bytes};
use futures_util::Stream;
use serde_json::json;
use tokio::sync::Notify;
use warp::{
    Filter,
    filters::path::FullPath,
    http::{HeaderMap, Method, StatusCode},
    reply::Response,
};

use super::{
    answer,
    body::BodyLimits,
    error::{ApiError, answer_rejection},
    visits::Visits,
};
use crate::{
    config::{Config, Current},
    disk::Room,
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
    /// How much room the disks have.
    pub room: Current<Room>,
    /// Rung when somebody wants old files removed now.
    pub prune: Arc<Notify>,
    /// What every `/api` request must bear.
    pub token: AdminToken,
}

impl Admin {
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
            ["api", rest @ ..] => {
                self.token.check(request.headers)?;
                if request.method == Method::POST {
                    guard::check_mutation(request.headers)?;
                }
                let body = limits.read(request.headers, body).await?;
                self.api(&request, rest, body).await
            }
            _ => Err(ApiError::NotFound),
        }
    }

    async fn api(
        &self,
        request: &Request<'_>,
        rest: &[&str],
        body: Bytes,
    ) -> Result<Response, ApiError> {
        let parameters = || Parameters::parse(request.query);
        match rest {
            ["jobs"] => {
                request.only(&Method::GET, "GET")?;
                self.list_jobs(parameters()?).await
            }
            ["jobs", id] => {
                request.only(&Method::GET, "GET")?;
                self.show_job(id).await
            }
            ["jobs", id, "log"] => {
                request.only(&Method::GET, "GET")?;
                self.read_log(id, parameters()?).await
            }
            ["jobs", id, "cancel"] => {
                request.only(&Method::POST, "POST")?;
                self.cancel_job(id, &body).await
            }
            ["jobs", id, "retry"] => {
                request.only(&Method::POST, "POST")?;
                self.retry_job(id, &body).await
            }
            ["start"] => {
                request.only(&Method::POST, "POST")?;
                self.start_job(&body).await
            }
            ["prunable"] => {
                request.only(&Method::GET, "GET")?;
                self.list_prunable().await
            }
            ["prune"] => {
                request.only(&Method::POST, "POST")?;
                self.prune(&body)
            }
            ["refused"] => {
                request.only(&Method::GET, "GET")?;
                Ok(self.list_refused())
            }
            ["secrets"] => {
                request.only(&Method::GET, "GET")?;
                Ok(self.list_secrets())
            }
            ["reports"] => {
                request.only(&Method::GET, "GET")?;
                self.list_reports(parameters()?).await
            }
            ["reports", id, action @ ("resend" | "drop")] => {
                request.only(&Method::POST, "POST")?;
                self.settle_report(id, action, &body).await
            }
            _ => Err(ApiError::NotFound),
        }
    }
}

/// What of a request the routes look at.
struct Request<'a> {
    method: &'a Method,
    path: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
}

impl Request<'_> {
    fn only(&self, method: &Method, allow: &'static str) -> Result<(), ApiError> {
        if self.method == method {
            Ok(())
        } else {
            Err(ApiError::MethodNotAllowed { allow })
        }
    }
}

/// The routes of the admin listener.
#[must_use]
pub fn admin_routes(
    admin: Admin,
    limits: BodyLimits,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    let admin = Arc::new(admin);
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(
            move |method: Method, path: FullPath, query: String, headers: HeaderMap, body| {
                let admin = Arc::clone(&admin);
                async move {
                    let request = Request {
                        method: &method,
                        path: path.as_str(),
                        query: &query,
                        headers: &headers,
                    };
                    admin
                        .answer(request, body, limits)
                        .await
                        .unwrap_or_else(ApiError::into_response)
                }
            },
        )
        .recover(answer_rejection)
        .unify()
}
