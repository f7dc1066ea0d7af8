//! Ray's HTTP interface: one client, every call within a time limit, every answer bounded, every refusal in one line.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, header::CONTENT_LENGTH};
use serde_json::Value;

use super::handle::RayHandle;
use crate::{
    config::SecretRef,
    executor::{QueryError, SubmitError},
    job::{Handle, Place},
    outbound,
};

/// Bytes read of an answer that says no.
const REFUSAL_LIMIT: usize = 256 * 1024;

/// Characters shown of what Ray says.
const SHOWN: usize = 300;

/// Where the Jobs API is, and how it is spoken to.
#[derive(Debug)]
pub(super) struct Api {
    client: Client,
    address: String,
    token: Option<SecretRef>,
    pub(super) timeout: Duration,
}

/// What is sent along.
#[derive(Debug)]
pub(super) enum Body {
    Nothing,
    Json(Value),
    Bytes(Vec<u8>),
}

/// Why a question has no good answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// Nothing was asked: nobody was reached, or the token is not here.
    #[error("{0}")]
    Away(String),
    /// It answered, and refused.
    #[error("Ray says: {}", sentence(.text))]
    Refused {
        /// As HTTP has it.
        status: u16,
        /// All of its words.
        text: String,
    },
    /// It was asked, and the answer is not known.
    #[error("Ray's answer was lost: {0}")]
    Lost(String),
    /// It answered more than is read.
    #[error("Ray's answer is longer than {0} bytes")]
    TooLong(usize),
}

impl Api {
    /// `address` precedes `/api/…`.
    ///
    /// # Errors
    /// When no client can be made.
    pub(super) fn new(
        address: String,
        token: Option<SecretRef>,
        timeout: Duration,
    ) -> Result<Self, reqwest::Error> {
        let client = outbound::client_builder_for(&address).build()?;
        Ok(Self {
            client,
            address,
            token,
            timeout,
        })
    }

    /// The cluster, as handles know it.
    pub(super) fn place(&self) -> Place {
        Place::at(self.address.clone())
    }

    /// What is kept of an attempt, if this cluster is the one that has it.
    pub(super) fn own(&self, handle: &Handle) -> Result<RayHandle, QueryError> {
        QueryError::of_place(handle, &self.place())?;
        Ok(RayHandle::unpack(handle)?)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/api/{path}", self.address)
    }

    /// Asks for something, and reads up to `limit` bytes of the answer.
    pub(super) async fn get(&self, path: &str, limit: usize) -> Result<Vec<u8>, Fault> {
        self.call(Method::GET, path, Body::Nothing, (self.timeout, limit))
            .await
    }

    /// One call; what it may take, and how long its answer may be.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Body,
        (time, limit): (Duration, usize),
    ) -> Result<Vec<u8>, Fault> {
        // A wish without a length is refused by some proxies.
        let is_post = method == Method::POST;
        let request = self.client.request(method, self.url(path)).timeout(time);
        let request = match body {
            Body::Nothing if is_post => request.header(CONTENT_LENGTH, 0),
            Body::Nothing => request,
            Body::Json(body) => request.json(&body),
            Body::Bytes(bytes) => request.body(bytes),
        };
        let request = self.authorized(request).await?;
        let response = request.send().await.map_err(|error| unsent(&error))?;
        let status = response.status();
        if status.is_success() {
            return read(response, limit).await;
        }
        let text = match read(response, REFUSAL_LIMIT).await {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            // That it refused is known all the same.
            Err(_) => String::new(),
        };
        Err(Fault::Refused {
            status: status.as_u16(),
            text: explained(status, text),
        })
    }

    /// The token is read anew for every call: its file may have been replaced.
    async fn authorized(&self, request: RequestBuilder) -> Result<RequestBuilder, Fault> {
        let Some(token) = self.token.clone() else {
            return Ok(request);
        };
        let read = tokio::task::spawn_blocking(move || token.read()).await;
        let read = read.map_err(|error| Fault::Away(error.to_string()))?;
        let token =
            read.map_err(|error| Fault::Away(format!("Ray's token cannot be read: {error}")))?;
        Ok(request.bearer_auth(token.expose()))
    }
}

async fn read(mut response: Response, limit: usize) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| lost(&error))? {
        if bytes.len() + piece.len() > limit {
            return Err(Fault::TooLong(limit));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn unsent(error: &reqwest::Error) -> Fault {
    match error.is_connect() || error.is_builder() {
        true => Fault::Away(format!(
            "Ray cannot be reached: {}",
            outbound::innermost(error)
        )),
        false => lost(error),
    }
}

fn lost(error: &reqwest::Error) -> Fault {
    Fault::Lost(match error.is_timeout() {
        true => "it did not come in time".to_owned(),
        false => outbound::innermost(error),
    })
}

/// What a refusal means where its own words do not tell.
fn explained(status: StatusCode, text: String) -> String {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            format!("{status}: set token to one that this cluster takes")
        }
        StatusCode::METHOD_NOT_ALLOWED => format!(
            "{status}: {} (does a proxy pose as a browser, or is this not the dashboard's address?)",
            sentence(&text)
        ),
        _ if text.trim().is_empty() || text.trim_start().starts_with('<') => {
            format!("{status} (is this the dashboard's address?)")
        }
        _ => text,
    }
}

/// The line of a traceback that says something: the last one with words in it.
pub(super) fn sentence(text: &str) -> String {
    let lines = text.lines().rev().map(str::trim);
    let line = lines.filter(|line| line.len() > 2).find(|line| {
        // Ray wraps one traceback in another.
        !line.starts_with("File \"") && !line.chars().all(|c| "^~ ".contains(c))
    });
    let line = line.unwrap_or("nothing");
    let line = ["ValueError: ", "TypeError: ", "RuntimeError: "]
        .iter()
        .find_map(|kind| line.strip_prefix(kind))
        .unwrap_or(line);
    shown(line)
}

/// For people: bounded, and without what a terminal would obey.
pub(super) fn shown(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    plain.take(SHOWN).collect()
}

impl From<Fault> for QueryError {
    fn from(fault: Fault) -> Self {
        Self(fault.to_string())
    }
}

impl Fault {
    /// Whether there is no such job or package. A wrong address answers 404, too, but not in these words.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Refused { status: 404, text } if text.contains("does not exist"))
    }

    /// What a submit makes of it: only a launch that Ray has understood and refuses ends its job.
    pub(super) fn of_submit(self) -> SubmitError {
        let text = self.to_string();
        match self {
            Self::Refused { status: 400, .. } => SubmitError::Rejected(text),
            Self::Away(_) | Self::Refused { .. } => SubmitError::Transient(text),
            Self::Lost(_) | Self::TooLong(_) => SubmitError::Ambiguous(text),
        }
    }
}
