//! The jobs' listener, for supervisors that share no files with the server. What they tell lands in the files that a
//! supervisor with the job directory would have written, so whoever follows an attempt looks at nothing else.

mod bodies;
mod claim;
mod desk;
mod guard;
mod manifest;
mod outputs;
mod tell;

use std::{collections::BTreeMap, convert::Infallible, path::PathBuf, sync::Arc, time::Duration};

use bytes::Buf;
use futures_util::Stream;
use serde::Serialize;
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
    route::{Request, Responder, route},
};
use crate::{
    config::Current,
    disk::Room,
    job::{Job, LaunchId},
    job_dir::{AttemptDir, JobDir},
    mirror::{BODY_LIMIT, MirrorKey},
    store::Store,
};
use desk::Desks;
use guard::{Asker, decode};
use manifest::Manifests;

/// What the mirror's routes need.
#[derive(Debug)]
pub struct Mirror {
    /// The store.
    pub store: Store,
    /// Where job directories lie.
    pub jobs_dir: PathBuf,
    /// Knows every launch's tokens.
    pub key: MirrorKey,
    /// Rung when an attempt has something to say, by executor.
    pub bells: BTreeMap<String, Arc<Notify>>,
    /// How much room the disks have: without some, outputs must wait.
    pub room: Current<Room>,
    /// What an attempt may leave in `out/`, in bytes.
    pub max_output: u64,
    /// What an attempt may tell in events, in bytes.
    pub max_events: u64,
}

/// The mirror at work.
#[derive(Debug)]
struct Service {
    mirror: Mirror,
    desks: Desks,
    manifests: Manifests,
}

/// An attempt that counts, and whose claimant has asked.
#[derive(Debug, Clone)]
struct Attempt {
    job: Job,
    launch_id: LaunchId,
    job_dir: JobDir,
    dir: AttemptDir,
}

/// What can be asked of an attempt.
enum Route {
    Claim,
    Manifest,
    File(String),
    Heartbeat,
    Events,
    Log,
    Output(String),
    Exit,
}

impl Route {
    /// The launch and what is asked of it.
    fn parse(path: &str) -> Result<(LaunchId, Self), ApiError> {
        let mut segments = path.strip_prefix('/').unwrap_or(path).splitn(4, '/');
        let (Some("jobs"), Some(launch), Some(what)) =
            (segments.next(), segments.next(), segments.next())
        else {
            return Err(ApiError::NotFound);
        };
        let launch_id = launch.parse().map_err(|_| ApiError::NoSuch("launch"))?;
        let route = match (what, segments.next()) {
            ("claim", None) => Self::Claim,
            ("manifest", None) => Self::Manifest,
            ("heartbeat", None) => Self::Heartbeat,
            ("events", None) => Self::Events,
            ("log", None) => Self::Log,
            ("exit", None) => Self::Exit,
            ("files", Some(path)) => Self::File(decode(path)?),
            ("out", Some(path)) => Self::Output(decode(path)?),
            _ => return Err(ApiError::NotFound),
        };
        Ok((launch_id, route))
    }

    fn method(&self) -> (Method, &'static str) {
        match self {
            Self::Claim | Self::Heartbeat => (Method::POST, "POST"),
            Self::Manifest | Self::File(_) => (Method::GET, "GET"),
            Self::Events | Self::Log | Self::Output(_) | Self::Exit => (Method::PUT, "PUT"),
        }
    }
}

impl Responder for Service {
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
        let (launch_id, route) = Route::parse(request.path)?;
        let (method, allow) = route.method();
        if *request.method != method {
            return Err(ApiError::MethodNotAllowed { allow });
        }
        let asker = Asker::of(launch_id, request.headers);
        // Whoever may not ask is refused before anything of a body is read.
        match route {
            Route::Claim => {
                asker.check_claim(&self.mirror.key)?;
                let body = limits.read(request.headers, body).await?;
                self.claim(launch_id, &body).await
            }
            Route::Exit => {
                asker.check(&self.mirror.key)?;
                let body = limits.read(request.headers, body).await?;
                self.take_exit(launch_id, &body).await
            }
            route => {
                asker.check(&self.mirror.key)?;
                let attempt = self.attempt(launch_id).await?;
                let body = limits.read(request.headers, body).await?;
                self.serve(attempt, route, request, body).await
            }
        }
    }
}

impl Service {
    async fn serve(
        &self,
        attempt: Attempt,
        route: Route,
        request: Request<'_>,
        body: bytes::Bytes,
    ) -> Result<Response, ApiError> {
        match route {
            Route::Manifest => self.give_manifest(attempt, request.headers).await,
            Route::File(path) => bodies::give_file(&attempt.job_dir, &path, request.headers).await,
            Route::Heartbeat => self.take_heartbeat(attempt, &body).await,
            Route::Events => self.take_events(attempt, request.query, body).await,
            Route::Log => self.take_log(attempt, request.query, body).await,
            Route::Output(path) => self.take_output(attempt, path, request.query, body).await,
            Route::Claim | Route::Exit => Err(ApiError::NotFound),
        }
    }

    /// Has the attempt looked at after a while.
    fn ring(&self, job: &Job, after: Duration) {
        if let Some(bell) = self.mirror.bells.get(&job.entry.executor).cloned() {
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                bell.notify_one();
            });
        }
    }
}

/// The routes of the jobs' listener; a body must be complete within `body_time`.
#[must_use]
pub fn mirror_routes(
    mirror: Mirror,
    body_time: Duration,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    let limits = BodyLimits {
        size: BODY_LIMIT,
        time: body_time,
    };
    let service = Service {
        mirror,
        desks: Desks::default(),
        manifests: Manifests::default(),
    };
    route(service, limits)
}

fn ok(value: &impl Serialize) -> Response {
    answer::json(StatusCode::OK, value)
}
