//! Labelbox's routes, under each workspace's path: `GET /models`, `POST /model_run`, `GET /ping`.

mod intake;
mod payload;
mod record;
mod refusal;
mod workspace;

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Instant};

use bytes::{Buf, Bytes};
use futures_util::Stream;
use jiff::Timestamp;
use warp::{
    Filter,
    filters::path::FullPath,
    http::{HeaderMap, Method, StatusCode},
    reply::Response,
};

use self::{payload::Payload, refusal::Refusal, workspace::Endpoint};
use super::{
    answer,
    body::BodyLimits,
    error::{ApiError, answer_rejection},
    listener::Peer,
    visits::Visits,
};
use crate::{
    config::{Access, Current},
    job::ModelRunId,
    recording::Recorder,
};

pub use intake::{AcceptError, AcceptRuns, Accepted, RunRequest};
pub use workspace::WorkspaceRoutes;

/// What proxies note about where a request came from.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Everything behind Labelbox's routes.
#[derive(Debug)]
pub struct Door {
    /// An endpoint belongs to the workspace whose path is all that precedes it.
    pub workspaces: Current<Vec<WorkspaceRoutes>>,
    /// Who may send.
    pub access: Current<Access>,
    /// Takes what is found right.
    pub intake: Arc<dyn AcceptRuns>,
    /// How much of a body is taken, and how long it may take.
    pub limits: BodyLimits,
    /// What came, and what became of it.
    pub visits: Arc<Visits>,
    /// Keeps whatever is exchanged, where somebody asked for that.
    pub recorder: Option<Recorder>,
}

/// Labelbox's routes.
#[must_use]
pub fn labelbox_routes(
    door: Door,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    let door = Arc::new(door);
    // One filter for all: a tree of them would turn each miss into a rejection and cost more than the answer.
    warp::method()
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(warp::ext::get::<Peer>())
        .and(warp::body::stream())
        .then(
            move |method: Method, path: FullPath, headers: HeaderMap, peer: Peer, body| {
                let door = Arc::clone(&door);
                async move {
                    let request = Request {
                        method: &method,
                        path: path.as_str(),
                        headers: &headers,
                        sender: door.sender(peer, &headers),
                    };
                    door.answer_and_record(request, body).await
                }
            },
        )
        .recover(answer_rejection)
        .unify()
}

/// What of a request the routes look at, beside its body.
#[derive(Debug, Clone, Copy)]
struct Request<'a> {
    method: &'a Method,
    path: &'a str,
    headers: &'a HeaderMap,
    sender: IpAddr,
}

fn find<'a>(
    workspaces: &'a [WorkspaceRoutes],
    path: &str,
) -> Option<(&'a WorkspaceRoutes, Endpoint)> {
    let mut workspaces = workspaces.iter();
    workspaces.find_map(|workspace| Some((workspace, workspace.endpoint(path)?)))
}

impl Door {
    fn sender(&self, Peer(peer): Peer, headers: &HeaderMap) -> IpAddr {
        let lists = headers.get_all(FORWARDED_FOR).iter();
        // A hop that is no text is no address either.
        let lists = lists.map(|value| value.to_str().unwrap_or("?"));
        let hops: Vec<&str> = lists.flat_map(|list| list.split(',')).collect();
        self.access.get().sender(peer.ip(), hops.into_iter())
    }

    async fn answer_and_record<S, B>(&self, request: Request<'_>, body: S) -> Response
    where
        S: Stream<Item = Result<B, warp::Error>> + Send,
        B: Buf + Send,
    {
        let Some(recorder) = &self.recorder else {
            return self.answer(request, body).await;
        };
        let (begun, copy) = (Instant::now(), record::Copy::default());
        let response = self.answer(request, copy.of(body)).await;
        let workspaces = self.workspaces.get();
        record::record(recorder, &workspaces, request, &copy, (begun, response)).await
    }

    async fn answer<S, B>(&self, request: Request<'_>, body: S) -> Response
    where
        S: Stream<Item = Result<B, warp::Error>> + Send,
        B: Buf + Send,
    {
        let workspaces = self.workspaces.get();
        let Some((workspace, endpoint)) = find(&workspaces, request.path) else {
            return self.refuse(request, "", Refusal::from(ApiError::NotFound));
        };
        let answer = async {
            if !matches!(endpoint, Endpoint::Ping) && !self.access.get().allows(request.sender) {
                return Err(ApiError::ForeignSender(request.sender).into());
            }
            endpoint.check_method(request.method)?;
            match endpoint {
                Endpoint::Ping => Ok(answer::json(StatusCode::OK, &"pong")),
                Endpoint::Models => {
                    self.signed_body(&workspaces, workspace, request.headers, body)
                        .await?;
                    self.visits.count(&workspace.name, "models");
                    Ok(answer::prebuilt(StatusCode::OK, workspace.listing.clone()))
                }
                Endpoint::ModelRun => {
                    let webhook = self.signed_body(&workspaces, workspace, request.headers, body);
                    self.accept(workspace, webhook.await?).await
                }
            }
        };
        answer
            .await
            .unwrap_or_else(|refusal| self.refuse(request, &workspace.name, refusal))
    }

    /// The body, once its signature is found right; which secret made it is noted.
    async fn signed_body<S, B>(
        &self,
        workspaces: &[WorkspaceRoutes],
        workspace: &WorkspaceRoutes,
        headers: &HeaderMap,
        body: S,
    ) -> Result<Bytes, Refusal>
    where
        S: Stream<Item = Result<B, warp::Error>> + Send,
        B: Buf + Send,
    {
        self.limits.check_announced(headers)?;
        // An unsigned body is not worth its memory.
        let signature = workspace.signature(headers)?;
        let body = self.limits.read(headers, body).await?;
        let Some(signature) = signature else {
            return Ok(body);
        };
        let now = Timestamp::now();
        match workspace.secrets.verify(Some(signature), &body) {
            Ok(index) => workspace.secrets.note_use(index, now),
            Err(error) => {
                let diagnosis = (self.visits.may_diagnose(now))
                    .then(|| refusal::diagnose(workspaces, workspace, signature, &body));
                let diagnosis = diagnosis
                    .flatten()
                    .or_else(|| refusal::know_the_secret(workspace));
                return Err(Refusal::from(error).with_diagnosis(diagnosis));
            }
        }
        Ok(body)
    }

    async fn accept(
        &self,
        workspace: &WorkspaceRoutes,
        webhook: Bytes,
    ) -> Result<Response, Refusal> {
        let payload = Payload::parse(&webhook)?;
        let model_run_id = payload.model_run_id.clone();
        let accepted = self.hand_over(workspace, payload, webhook).await;
        let accepted =
            accepted.map_err(|error| Refusal::from(error).of_run(model_run_id.clone()))?;
        self.visits.count(&workspace.name, accepted.code());
        log_acceptance(&workspace.name, &model_run_id, &accepted);
        Ok(answer::json(StatusCode::OK, &accepted))
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
