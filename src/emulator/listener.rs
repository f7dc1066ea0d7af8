//! The emulator's accept loop. It is our own because a fault must be able to close a connection without an answer.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::ServiceExt;
use warp::{
    Filter, Rejection, Reply,
    filters::BoxedFilter,
    http::{HeaderName, HeaderValue, Request, StatusCode, header::CONTENT_TYPE},
    reply::Response,
};

use super::{control, files, labelbox, shared::Shared};

/// Connections served at once; more wait.
const CONNECTION_LIMIT: usize = 512;

/// The longest body, in bytes.
const BODY_LIMIT: usize = 64 << 20;

/// A request's headers must be complete within this; an idle connection lasts as long.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);

/// A request's body must be complete within this.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The rest after a failed accept, when descriptors have run out for example.
const ACCEPT_REST: Duration = Duration::from_millis(100);

type Routes = BoxedFilter<(Response,)>;

/// Marks an answer that must not be given: the connection is closed instead.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the connection is closed on purpose")]
struct Closed;

/// Serves until it is aborted; the connections end with it.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let routes = routes(&shared);
    let slots = Arc::new(Semaphore::new(CONNECTION_LIMIT));
    let mut connections = JoinSet::new();
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_REST).await;
            continue;
        };
        let routes = routes.clone();
        connections.spawn(async move {
            serve_connection(stream, routes).await;
            drop(slot);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_connection(stream: TcpStream, routes: Routes) {
    let service = service_fn(move |request| answer(routes.clone(), request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the emulator ended early");
    }
}

async fn answer(routes: Routes, request: Request<Incoming>) -> Result<Response, Closed> {
    let (head, body) = request.into_parts();
    let read = timeout(BODY_TIMEOUT, Limited::new(body, BODY_LIMIT).collect());
    let body = match read.await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => {
            return Ok(refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is over 64 MiB",
            ));
        }
        Err(_) => return Err(Closed),
    };
    let request = Request::from_parts(head, Full::new(body));
    let result: Result<Response, Infallible> = warp::service(routes).oneshot(request).await;
    let Ok(response) = result;
    match response.extensions().get::<Closed>() {
        Some(closed) => Err(*closed),
        None => Ok(response),
    }
}

fn routes(shared: &Arc<Shared>) -> Routes {
    let labelbox = labelbox::routes(shared).or(files::routes(shared)).unify();
    let all = labelbox.or(control::routes(shared)).unify();
    all.recover(explain).unify().boxed()
}

async fn explain(rejection: Rejection) -> Result<Response, Infallible> {
    if rejection.is_not_found() {
        return Ok(refuse(
            StatusCode::NOT_FOUND,
            "there is nothing here: GET / tells what there is",
        ));
    }
    if rejection.find::<warp::reject::MethodNotAllowed>().is_some() {
        return Ok(refuse(
            StatusCode::METHOD_NOT_ALLOWED,
            "this address takes another method",
        ));
    }
    Ok(refuse(StatusCode::BAD_REQUEST, &format!("{rejection:?}")))
}

/// An answer that closes the connection instead of being given.
pub(super) fn closed() -> Response {
    let mut response = warp::reply().into_response();
    response.extensions_mut().insert(Closed);
    response
}

/// An answer with a reason: `{"error": {"code", "message"}}`.
pub(super) fn refuse(status: StatusCode, message: &str) -> Response {
    let code = status.canonical_reason().unwrap_or("error");
    let code = code.to_ascii_lowercase().replace(' ', "_");
    let body = serde_json::json!({ "error": { "code": code, "message": message } });
    json_response(status, &body)
}

pub(super) fn json_response(status: StatusCode, body: &Value) -> Response {
    warp::reply::with_status(warp::reply::json(body), status).into_response()
}

/// What is JSON already.
pub(super) fn json_bytes(body: Vec<u8>) -> Response {
    warp::reply::with_header(body, CONTENT_TYPE, "application/json").into_response()
}

/// An answer as a fault describes it; headers that cannot be sent are left out, an impossible status becomes 500.
pub(super) fn response(
    status: u16,
    body: Option<&Value>,
    headers: &[(String, String)],
) -> Response {
    let (content_type, bytes) = match body {
        None => ("text/plain", Vec::new()),
        Some(Value::String(text)) => ("text/html", text.clone().into_bytes()),
        Some(json) => ("application/json", json.to_string().into_bytes()),
    };
    let mut response = bytes.into_response();
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
