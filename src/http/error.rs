//! Why a request is refused. The only place that knows which status each refusal has.

use std::{convert::Infallible, net::IpAddr, time::Duration};

use serde_json::json;
use warp::{
    Rejection,
    http::{
        StatusCode,
        header::{ALLOW, CONNECTION, RETRY_AFTER},
    },
    reply::Response,
};

use super::{answer, body::BodyError};
use crate::{
    job::{JobId, LaunchId},
    signature::SignatureError,
    store::StoreError,
};

/// Why a request is refused. Its text is the `message` of the answer, so it never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// There is nothing at that path.
    #[error("there is nothing at this path")]
    NotFound,
    /// The path exists, for other methods.
    #[error("this path takes {allow} only")]
    MethodNotAllowed {
        /// The methods that it takes, as in the `Allow` header.
        allow: &'static str,
    },
    /// There is no such thing; the text says what.
    #[error("there is no such {0}")]
    NoSuch(&'static str),
    /// The admin token is missing or wrong.
    #[error("the admin token is missing or wrong: it stands in state_dir, in admin.token")]
    Unauthorized,
    /// The token is missing, or not that of this launch.
    #[error("the token is missing, or not the one of this launch")]
    WrongToken,
    /// The attempt does not count any longer.
    #[error("launch {0} does not count any longer: end it")]
    Revoked(LaunchId),
    /// Another supervisor has claimed the attempt.
    #[error("the attempt belongs to another supervisor")]
    Claimed,
    /// An attempt has sent more than it may.
    #[error("{0}")]
    OverQuota(String),
    /// A range begins where there is nothing.
    #[error("the file has {size} bytes: there is nothing behind its end")]
    BehindTheEnd {
        /// The file's length in bytes.
        size: u64,
    },
    /// The request comes from where it must not come from.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The sender's address is not among those that may send.
    #[error(
        "requests are not taken from {0}: see server.allow and server.trusted_proxies in models.toml"
    )]
    ForeignSender(IpAddr),
    /// The body is not JSON by its own words.
    #[error("send Content-Type: application/json")]
    NotJson,
    /// The job has ended, so this cannot be done to it.
    #[error("job {0} has ended already")]
    AlreadyEnded(JobId),
    /// The predictions have arrived; the job that brought them.
    #[error("job {0} has succeeded: Labelbox has the predictions")]
    AlreadyUploaded(JobId),
    /// The job has not ended, so this cannot be done to it.
    #[error("job {0} has not ended yet: wait for it, or cancel it first")]
    StillLive(JobId),
    /// The same was asked for at the same moment; the job that it began, which has ended by now.
    #[error(
        "job {0} was begun at the same moment and has ended already: look at it, then try again"
    )]
    Overtaken(JobId),
    /// The signature is missing, malformed or wrong.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The body could not be read whole.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The request is not what it should be; the text says where.
    #[error("{0}")]
    Invalid(String),
    /// No model of this workspace bears that name.
    #[error("no model is called {asked:?}; there {offered}")]
    UnknownModelType {
        /// What was asked for, shortened.
        asked: String,
        /// "is none" or "are: …".
        offered: String,
    },
    /// The model run is being trained already, with another model.
    #[error(
        "this model run is being trained by job {job_id} with {model_type:?}: wait or cancel it"
    )]
    OtherModel {
        /// The live job.
        job_id: JobId,
        /// Its model's title.
        model_type: String,
    },
    /// Something of ours that should be readable is not; the text says what and why.
    #[error("{0}")]
    Unreadable(String),
    /// A spending limit is reached.
    #[error("{0}")]
    TooMany(String),
    /// Nothing can be accepted at the moment.
    #[error("nothing can be accepted at the moment: try again in {} s", seconds(*retry_after))]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
}

impl ApiError {
    /// The status of the answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::NoSuch(_) | Self::UnknownModelType { .. } => {
                StatusCode::NOT_FOUND
            }
            Self::Unauthorized | Self::WrongToken => StatusCode::UNAUTHORIZED,
            Self::Revoked(_) => StatusCode::GONE,
            Self::OverQuota(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BehindTheEnd { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Forbidden(_) | Self::ForeignSender(_) => StatusCode::FORBIDDEN,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Signature(_) => StatusCode::UNAUTHORIZED,
            Self::Body(BodyError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::TooSlow { .. }) => StatusCode::REQUEST_TIMEOUT,
            Self::Body(BodyError::Broken) | Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::OtherModel { .. }
            | Self::AlreadyEnded(_)
            | Self::AlreadyUploaded(_)
            | Self::StillLive(_)
            | Self::Overtaken(_)
            | Self::Claimed => StatusCode::CONFLICT,
            Self::Unreadable(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// One word for programs and logs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound | Self::NoSuch(_) => "not_found",
            Self::Unauthorized | Self::WrongToken => "unauthorized",
            Self::Revoked(_) => "revoked",
            Self::Claimed => "claimed",
            Self::OverQuota(_) => "over_quota",
            Self::BehindTheEnd { .. } => "behind_the_end",
            Self::Forbidden(_) => "forbidden",
            Self::ForeignSender(_) => "foreign_sender",
            Self::NotJson => "not_json",
            Self::AlreadyEnded(_) => "already_ended",
            Self::AlreadyUploaded(_) => "already_uploaded",
            Self::StillLive(_) => "still_live",
            Self::Overtaken(_) => "overtaken",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::Signature(SignatureError::Missing) => "signature_missing",
            Self::Signature(SignatureError::Malformed) => "signature_malformed",
            Self::Signature(SignatureError::Mismatch) => "signature_mismatch",
            Self::Body(BodyError::TooLarge { .. }) => "body_too_large",
            Self::Body(BodyError::TooSlow { .. }) => "body_too_slow",
            Self::Body(BodyError::Broken) => "body_broken",
            Self::Invalid(_) => "invalid_request",
            Self::UnknownModelType { .. } => "unknown_model_type",
            Self::OtherModel { .. } => "other_model",
            Self::Unreadable(_) => "unreadable",
            Self::TooMany(_) => "too_many",
            Self::Unavailable { .. } => "unavailable",
        }
    }

    /// The answer: `{"error": {"code", "message"}}`.
    #[must_use]
    pub fn into_response(self) -> Response {
        let mut error = json!({"error": {"code": self.code(), "message": self.to_string()}});
        if let Self::Revoked(launch_id) = self {
            error["revoked"] = json!(launch_id);
        }
        let response = answer::json(self.status(), &error);
        match self {
            Self::MethodNotAllowed { allow } => answer::with_header(response, ALLOW, allow),
            Self::Unavailable { retry_after } => {
                let wait = seconds(retry_after).to_string();
                answer::with_header(response, RETRY_AFTER, &wait)
            }
            // What is left of the body is not read, so nothing more can be read from this connection.
            Self::Body(_) => answer::with_header(response, CONNECTION, "close"),
            _ => response,
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(what) => Self::NoSuch(what),
            error => {
                tracing::warn!("the store did not serve a request: {error}");
                Self::Unavailable {
                    retry_after: Duration::from_secs(5),
                }
            }
        }
    }
}

/// Answers what warp's own filters refuse, in our words; warp's own texts are not JSON.
///
/// # Errors
/// Never: every rejection has an answer.
pub async fn answer_rejection(rejection: Rejection) -> Result<Response, Infallible> {
    let error = if rejection.is_not_found() {
        ApiError::NotFound
    } else {
        ApiError::Invalid("the request cannot be understood".to_owned())
    };
    Ok(error.into_response())
}

/// Whole seconds, rounded up, at least one.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0 || wait.is_zero())
}
