//! Requests of Labelbox and our answers, handed to whoever records them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use http_body_util::BodyExt;
use jiff::Timestamp;
use warp::reply::Response;

use super::{Request, WorkspaceRoutes};
use crate::recording::{Exchange, Message, Recorder, Side};

/// What of a body was read, which may be less than was sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Copy(Arc<Mutex<Vec<u8>>>);

impl Copy {
    /// The same body; what is read of it is copied.
    pub(super) fn of<S, B>(&self, body: S) -> impl Stream<Item = Result<Bytes, warp::Error>> + Send
    where
        S: Stream<Item = Result<B, warp::Error>> + Send,
        B: Buf + Send,
    {
        let copy = self.clone();
        body.map(move |chunk| {
            let mut chunk = chunk?;
            let bytes = chunk.copy_to_bytes(chunk.remaining());
            copy.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(&bytes);
            Ok(bytes)
        })
    }
}

/// Hands one exchange over and gives the answer back.
pub(super) async fn record(
    recorder: &Recorder,
    workspaces: &[WorkspaceRoutes],
    request: Request<'_>,
    body: &Copy,
    (begun, response): (Instant, Response),
) -> Response {
    let (head, answer) = response.into_parts();
    // Our answers are built whole, so this waits for nobody.
    let answer = match answer.collect().await {
        Ok(answer) => answer.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let asked = Message {
        line: Some(format!("{} {}", request.method, request.path)),
        ..Message::default()
    };
    let replied = Message {
        status: Some(head.status.as_u16()),
        ..Message::default()
    };
    let copied = std::mem::take(&mut *body.0.lock().unwrap_or_else(PoisonError::into_inner));
    let exchange = Exchange {
        at: Timestamp::now(),
        sent_by: Side::Labelbox,
        request: asked.with_headers(request.headers).with_body(&copied),
        reply: Some(replied.with_headers(&head.headers).with_body(&answer)),
        error: None,
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    let secrets = workspaces
        .iter()
        .flat_map(|workspace| workspace.secrets.all());
    recorder.keep(exchange, &secrets.collect::<Vec<_>>());
    Response::from_parts(head, answer.into())
}
