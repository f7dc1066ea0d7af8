//! Labelbox's calls to a server: the list of models, and the click on **Train model**.

use std::time::Duration;

use reqwest::{RequestBuilder, header::CONTENT_TYPE};
use serde::Serialize;
use serde_json::Value;

use crate::{
    config::Secret,
    outbound,
    signature::{SIGNATURE_HEADER, sign},
};

/// One call may take this long.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 1 << 20;

/// The signed calls of one workspace to one server.
#[derive(Debug, Clone)]
pub struct Webhook {
    base: String,
    secret: Secret,
    client: reqwest::Client,
}

/// What `POST /model_run` carries, keys in Labelbox's order. Source: Labelbox/labelbox-python, coordinator.py.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelRunRequest {
    /// The model; Labelbox always names it, a call by hand need not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// The run to train.
    pub model_run_id: String,
    /// A key of the models answer.
    pub model_type: String,
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; bytes that are no UTF-8 are replaced.
    pub body: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The address is none.
    #[error(
        "{url} is not an http or https address: name the server's base, such as http://127.0.0.1:8080"
    )]
    Address {
        /// As it was given.
        url: String,
    },
    /// The HTTP client cannot be made.
    #[error("cannot make an HTTP client")]
    Client(#[source] reqwest::Error),
    /// Nothing answered, or not to the end.
    #[error("no answer: {}", chain(.0))]
    NoAnswer(reqwest::Error),
    /// The answer has more than 1 MiB.
    #[error("the answer is longer than 1 MiB")]
    TooLong,
}

impl Webhook {
    /// Calls to the server whose base, as registered in Labelbox, is `base`.
    ///
    /// # Errors
    /// When `base` is not an http or https address.
    pub fn new(base: &str, secret: Secret) -> Result<Self, CallError> {
        let known =
            reqwest::Url::parse(base).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !known {
            let url = base.to_owned();
            return Err(CallError::Address { url });
        }
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            secret,
            client: outbound::client_builder_for(base)
                .timeout(CALL_TIMEOUT)
                .build()
                .map_err(CallError::Client)?,
        })
    }

    /// `GET <base>/models`, signed over the empty body.
    ///
    /// # Errors
    /// When nothing answers within 30 s, or with more than 1 MiB. Any status is an answer.
    pub async fn models(&self) -> Result<Answer, CallError> {
        let url = format!("{}/models", self.base);
        self.send(self.client.get(url), &[]).await
    }

    /// `POST <base>/model_run`, signed; the body has no blanks, as JavaScript's `JSON.stringify` writes it.
    ///
    /// # Errors
    /// As [`Webhook::models`].
    pub async fn model_run(&self, request: &ModelRunRequest) -> Result<Answer, CallError> {
        let url = format!("{}/model_run", self.base);
        let body = serde_json::to_vec(request).expect("three texts are always JSON");
        let post = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json");
        self.send(post.body(body.clone()), &body).await
    }

    async fn send(&self, request: RequestBuilder, body: &[u8]) -> Result<Answer, CallError> {
        let signed = request.header(SIGNATURE_HEADER, sign(&self.secret, body));
        let mut response = signed.send().await.map_err(CallError::NoAnswer)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(CallError::NoAnswer)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_LIMIT {
                return Err(CallError::TooLong);
            }
        }
        Ok(Answer {
            status: response.status().as_u16(),
            body: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }
}

impl Answer {
    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body's JSON, if it is any.
    #[must_use]
    pub fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }

    /// The first name of a models answer.
    #[must_use]
    pub fn first_model(&self) -> Option<String> {
        self.json()?.as_object()?.keys().next().cloned()
    }
}

/// An error and what is behind it: the client's own text alone does not say "connection refused".
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
