//! The routes of Labelbox's API: every call is recorded, may be spoiled by a fault, then is carried out.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use tokio::{task::spawn_blocking, time::sleep};
use warp::{
    Filter,
    filters::BoxedFilter,
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE},
    },
    path::FullPath,
    reply::Response,
};

use super::{
    exports::Unmade,
    faults::{FaultKind, hold},
    graphql::{Call, Endpoint, Refusal},
    listener::{closed, json_bytes, json_response, response},
    multipart,
    shared::Shared,
    world::{RecordedRequest, World},
};

/// `POST /graphql` and `POST /_gql`.
pub(super) fn routes(shared: &Arc<Shared>) -> BoxedFilter<(Response,)> {
    let shared = Arc::clone(shared);
    let endpoint = warp::path("graphql")
        .map(|| Endpoint::Public)
        .or(warp::path("_gql").map(|| Endpoint::Experimental))
        .unify();
    endpoint
        .and(warp::path::end())
        .and(warp::post())
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(warp::body::bytes())
        .map(Exchange::new)
        .then(move |exchange: Exchange| {
            let shared = Arc::clone(&shared);
            async move { exchange.answer(&shared).await }
        })
        .boxed()
}

/// One call as it came in.
struct Exchange {
    endpoint: Endpoint,
    path: String,
    headers: HeaderMap,
    body: Value,
    bytes: usize,
    /// A file that came with the call.
    upload: Option<Bytes>,
    call: Result<Call, Refusal>,
}

impl Exchange {
    fn new(endpoint: Endpoint, path: FullPath, headers: HeaderMap, bytes: Bytes) -> Self {
        let (body, upload) = read_body(&headers, &bytes);
        Self {
            endpoint,
            path: path.as_str().to_owned(),
            headers,
            call: Call::read(&body),
            bytes: bytes.len() - upload.as_ref().map_or(0, Bytes::len),
            body,
            upload,
        }
    }

    async fn answer(self, shared: &Shared) -> Response {
        let fault = shared.change(|world| {
            world.record(self.record());
            world.faults.take(&self.names())
        });
        match fault {
            None => self.carry_out(shared).await,
            Some(FaultKind::Delay { milliseconds }) => {
                sleep(hold(milliseconds)).await;
                self.carry_out(shared).await
            }
            Some(FaultKind::AnswerLate { milliseconds }) => {
                let answer = self.carry_out(shared).await;
                sleep(hold(milliseconds)).await;
                answer
            }
            Some(FaultKind::DropAfter) => {
                self.carry_out(shared).await;
                closed()
            }
            Some(
                FaultKind::DropBefore | FaultKind::TruncateBody { .. } | FaultKind::AddressExpires,
            ) => closed(),
            Some(
                wish @ (FaultKind::Fails { .. }
                | FaultKind::Takes { .. }
                | FaultKind::RefusesEvery { .. }),
            ) => {
                let exports = self.names().contains(&"exportDataRowsInModelRun");
                shared.change(|world| match exports {
                    true => world.wish_export(wish),
                    false => world.wish_import(wish),
                });
                self.carry_out(shared).await
            }
            Some(FaultKind::Hang { milliseconds }) => {
                sleep(hold(milliseconds)).await;
                closed()
            }
            Some(FaultKind::GraphqlError {
                code,
                message,
                exception_status,
            }) => {
                let refusal = Refusal {
                    code,
                    message,
                    exception_status,
                };
                json_response(StatusCode::OK, &refusal.body())
            }
            Some(FaultKind::Status {
                status,
                body,
                headers,
            }) => response(status, body.as_ref(), &headers),
        }
    }

    async fn carry_out(&self, shared: &Shared) -> Response {
        if !has_key(&self.headers, shared) {
            // Captured from labelbox 7.17.0: the SDK takes this for a bad key whatever the status below 500.
            let body = Refusal::unauthenticated().body();
            return json_response(StatusCode::UNAUTHORIZED, &body);
        }
        let (result, unmade) = match &self.call {
            Ok(call) => shared.change(|world| {
                world.upload.clone_from(&self.upload);
                let result = call.execute(self.endpoint, world, Timestamp::now());
                (result, std::mem::take(&mut world.exports.unmade))
            }),
            Err(refusal) => (Err(refusal.clone()), Vec::new()),
        };
        make(unmade).await;
        match result {
            Ok(body) => json_bytes(body),
            Err(refusal) => json_response(StatusCode::OK, &refusal.body()),
        }
    }

    /// What a fault may call this call.
    fn names(&self) -> Vec<&str> {
        let mut names = vec![self.path.as_str()];
        if let Ok(call) = &self.call {
            names.extend(call.name());
            names.extend(call.root_fields());
        }
        names
    }

    fn record(&self) -> RecordedRequest {
        let call = self.call.as_ref().ok();
        let root_field = call.and_then(|call| call.root_fields().next());
        RecordedRequest {
            at: Timestamp::now(),
            path: self.path.clone(),
            headers: shown(&self.headers),
            body: self.body.clone(),
            operation: call.and_then(Call::name).map(str::to_owned),
            root_field: root_field.map(str::to_owned),
            bytes: self.bytes,
        }
    }
}

/// Makes the results of exports, each on a thread of its own. All are begun before one is waited for: whoever asked may be
/// gone meanwhile, and the tasks are there.
async fn make(unmade: Vec<Unmade>) {
    let begin = |unmade: Unmade| spawn_blocking(move || unmade.make());
    let making: Vec<_> = unmade.into_iter().map(begin).collect();
    for making in making {
        if let Err(error) = making.await {
            tracing::error!(%error, "the result of an export cannot be made");
        }
    }
}

/// Whether a request comes with an API key that is taken.
pub(super) fn has_key(headers: &HeaderMap, shared: &Shared) -> bool {
    let header = headers.get(AUTHORIZATION);
    let value = header.and_then(|value| value.to_str().ok());
    let key = value.and_then(|value| value.strip_prefix("Bearer "));
    match (&shared.api_key, key) {
        (Some(wanted), Some(key)) => wanted.expose() == key,
        (None, Some(key)) => !key.trim().is_empty(),
        (_, None) => false,
    }
}

/// The call's JSON, and the file that came with it.
fn read_body(headers: &HeaderMap, bytes: &Bytes) -> (Value, Option<Bytes>) {
    let text = || Value::String(String::from_utf8_lossy(bytes).into_owned());
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let Some(kind) = kind.filter(|kind| kind.starts_with("multipart/form-data")) else {
        return (
            serde_json::from_slice(bytes).unwrap_or_else(|_| text()),
            None,
        );
    };
    match multipart::read(kind, bytes) {
        Ok(upload) => {
            // Where the file belongs stands null in the variables.
            let mut operations = upload.operations;
            operations["variables"]["file"] = Value::from("the file");
            (operations, Some(upload.file))
        }
        Err(what) => (Value::from(what), None),
    }
}

impl World {
    /// Keeps in mind what the task that is about to begin will be like.
    fn wish_export(&mut self, wish: FaultKind) {
        let next = &mut self.exports.next;
        match wish {
            FaultKind::Fails { message } => next.failure = Some(message),
            FaultKind::Takes { milliseconds } => next.takes = Some(hold(milliseconds)),
            _ => {}
        }
    }

    /// Keeps in mind what the import that is about to begin will be like.
    fn wish_import(&mut self, wish: FaultKind) {
        let next = &mut self.next_import;
        match wish {
            FaultKind::Fails { message } => next.failure = Some(message),
            FaultKind::Takes { milliseconds } => next.takes = Some(hold(milliseconds)),
            FaultKind::RefusesEvery { lines } => next.refuses_every = Some(lines),
            _ => {}
        }
    }
}

fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let show = |(name, value): (&warp::http::HeaderName, &warp::http::HeaderValue)| {
        let value = match *name == AUTHORIZATION {
            true => "[redacted]".into(),
            false => String::from_utf8_lossy(value.as_bytes()),
        };
        (name.to_string(), value.into_owned())
    };
    headers.iter().map(show).collect()
}
