//! One exchange at the wire: the request sent, the answer read to its bound, both kept where somebody asked for that.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::{
    Client, Request, Response, StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};

use super::{
    answer::retry_after,
    error::{Kind, LabelboxError},
};
use crate::{
    config::Secret,
    recording::{Exchange, Message, Recorder, Side},
};

/// A longer answer is not read to its end, in bytes.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

/// Room is made at once for an answer that is announced as no longer than this, in bytes.
const TRUSTED_LENGTH: usize = 64 * 1024;

/// An answer that came whole, whatever it says.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answered {
    /// How long it asks us to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let header = self.headers.get(RETRY_AFTER)?;
        retry_after(header.to_str().ok()?, Timestamp::now())
    }
}

/// Sends `request` once and reads its answer.
///
/// # Errors
/// When no answer came, or none that ends.
pub(super) async fn send(http: &Client, request: Request) -> Result<Answered, LabelboxError> {
    let response = http.execute(request).await;
    let mut response = response.map_err(LabelboxError::transport)?;
    Ok(Answered {
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body: read_bounded(response).await?,
    })
}

/// As [`send`], and `recorder` is given both sides, without the key.
pub(super) async fn send_recorded(
    http: &Client,
    request: Request,
    recorder: &Recorder,
    key: &Secret,
) -> Result<Answered, LabelboxError> {
    let begun = Instant::now();
    let body = request.body().and_then(|body| body.as_bytes());
    let asked = Message {
        line: Some(format!("{} {}", request.method(), request.url())),
        ..Message::default()
    };
    let asked = asked
        .with_headers(request.headers())
        .with_body(body.unwrap_or_default());
    let answered = send(http, request).await;
    let replied = answered.as_ref().ok().map(|answered| {
        let status = Some(answered.status.as_u16());
        let message = Message {
            status,
            ..Message::default()
        };
        message
            .with_headers(&answered.headers)
            .with_body(&answered.body)
    });
    let exchange = Exchange {
        at: Timestamp::now(),
        sent_by: Side::Trainhook,
        request: asked,
        reply: replied,
        error: answered.as_ref().err().map(|error| error.message.clone()),
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    recorder.keep(exchange, &[key]);
    answered
}

async fn read_bounded(mut response: Response) -> Result<Vec<u8>, LabelboxError> {
    let announced = response.content_length().unwrap_or_default();
    let announced = usize::try_from(announced).unwrap_or(ANSWER_LIMIT);
    let mut body = Vec::with_capacity(announced.min(TRUSTED_LENGTH));
    while let Some(chunk) = response.chunk().await.map_err(LabelboxError::transport)? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            let message = format!("the answer is longer than {ANSWER_LIMIT} bytes");
            return Err(LabelboxError::new(Kind::Foreign, message).ambiguous());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
