//! What becomes of a question to the cluster that has no good answer.

use std::error::Error as _;

use kube::{Error, client::AuthError, core::Status};

use crate::{
    executor::{QueryError, SubmitError},
    outbound,
};

/// Why a question has no good answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum Fault {
    /// Nothing says where the cluster is, or as whom to speak.
    #[error("no way to the cluster: {0}")]
    NoAccess(String),
    /// Nobody was reached, so nothing was asked.
    #[error("the cluster's API cannot be reached: {0}")]
    Away(String),
    /// It answered, and refused.
    #[error("Kubernetes says: {}", said(.0))]
    Refused(Box<Status>),
    /// It was asked, and the answer is not known.
    #[error("the answer of the cluster's API was lost: {0}")]
    Lost(String),
    /// It was not asked: another cluster has the attempt.
    #[error("{0}")]
    Elsewhere(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(status) => Self::Refused(status),
            error if is_of_credentials(&error) => {
                Self::NoAccess("the kubeconfig's credentials cannot be had".to_owned())
            }
            other if is_of_connecting(&other) => Self::Away(innermost(&other)),
            other => Self::Lost(innermost(&other)),
        }
    }
}

impl From<Fault> for QueryError {
    fn from(fault: Fault) -> Self {
        Self(fault.to_string())
    }
}

impl Fault {
    /// What a submit makes of it when the cluster may have done what it was asked.
    pub(super) fn of_submit(self) -> SubmitError {
        let text = self.to_string();
        match &self {
            Self::NoAccess(_) | Self::Away(_) | Self::Elsewhere(_) => SubmitError::Transient(text),
            Self::Lost(_) => SubmitError::Ambiguous(text),
            Self::Refused(status) => match status.code {
                // A quota frees itself, and a namespace that ends may be made anew.
                403 if status.message.contains("exceeded quota")
                    || status.message.contains("being terminated") =>
                {
                    SubmitError::Transient(text)
                }
                // Our own credentials, or too many questions: not the launch's fault.
                // What a policy of the cluster forbids stays forbidden.
                403 if status.message.contains("denied the request") => SubmitError::Rejected(text),
                400 | 413 | 422 if is_the_apis_own(status) => SubmitError::Rejected(text),
                // Our own credentials and rights, a namespace that is not there yet, too many questions, a proxy on the
                // way: not the launch's fault, and a queue must not fail by it.
                400..=499 => SubmitError::Transient(text),
                _ => SubmitError::Ambiguous(text),
            },
        }
    }

    /// The HTTP status of a refusal.
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Refused(status) => Some(status.code),
            _ => None,
        }
    }

    /// Whether there is no such object.
    pub(super) fn is_absence(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whether there is an object of this name already.
    pub(super) fn is_taken_name(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code == 409 && status.reason == "AlreadyExists")
    }
}

/// Its words; a proxy on the way may have answered instead.
fn said(status: &Status) -> String {
    match status.message.trim() {
        "" => format!("{} {}", status.code, status.reason),
        message => super::words::shown(message),
    }
}

/// Whether the API itself has looked at what it was given and found it wrong.
fn is_the_apis_own(status: &Status) -> bool {
    matches!(
        status.reason.as_str(),
        "Invalid" | "BadRequest" | "RequestEntityTooLarge"
    )
}

/// Whoever tells credentials may tell them in its errors, too.
fn is_of_credentials(error: &Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = source {
        if inner.is::<AuthError>() {
            return true;
        }
        source = inner.source();
    }
    false
}

fn is_of_connecting(error: &Error) -> bool {
    let mut source = error.source();
    while let Some(inner) = source {
        let of_client = inner.downcast_ref::<hyper_util::client::legacy::Error>();
        if of_client.is_some_and(hyper_util::client::legacy::Error::is_connect) {
            return true;
        }
        source = inner.source();
    }
    false
}

/// What is behind all else of an error, as it is shown.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    super::words::shown(&outbound::innermost(error))
}
