//! The engine's API: where it is, how it is spoken to, and what becomes of a question.

use std::{error::Error as _, time::Duration};

use bollard::{API_DEFAULT_VERSION, Docker, errors::Error};

use crate::executor::{QueryError, SubmitError};

/// One request is answered within this, or it is lost; the server waits a little longer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(50);

/// Where the engine's clients look when nothing is said.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Engine {
    /// A socket of this machine.
    Socket(String),
    /// `host:port`, without TLS.
    Tcp(String),
}

/// Why a question has no good answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// Nobody was reached, so nothing was asked.
    #[error("the container engine cannot be reached: {0}")]
    Away(String),
    /// It answered, and refused.
    #[error("the container engine says: {message}")]
    Refused {
        /// As HTTP has it.
        status: u16,
        /// Its words.
        message: String,
    },
    /// It was asked, and the answer is not known.
    #[error("the container engine's answer was lost: {0}")]
    Lost(String),
}

impl Engine {
    /// Reads `/run/docker.sock`, `unix:///run/docker.sock`, `tcp://host:2375`, `http://host:2375`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let form =
            "must be a socket, as in \"unix:///var/run/docker.sock\", or \"tcp://host:2375\"";
        if let Some(path) = text.strip_prefix("unix://").or(Some(text))
            && path.starts_with('/')
        {
            return Ok(Self::Socket(path.to_owned()));
        }
        if text.starts_with("https://") || text.starts_with("ssh://") {
            return Err("is not spoken: let the engine be reached by a socket, such as one that ssh -L forwards".to_owned());
        }
        let host = text.strip_prefix("tcp://").or(text.strip_prefix("http://"));
        match host.map(|host| host.trim_end_matches('/')) {
            Some(host) if !host.is_empty() && !host.contains('/') => Ok(Self::Tcp(host.to_owned())),
            _ => Err(form.to_owned()),
        }
    }

    /// `DOCKER_HOST` as every client has it, else the usual socket.
    pub(super) fn of_environment() -> Result<Self, String> {
        match std::env::var("DOCKER_HOST") {
            Ok(host) if !host.is_empty() => Self::parse(&host)
                .map_err(|why| format!("is not given, and DOCKER_HOST ({host}) {why}")),
            _ => Ok(Self::Socket(DEFAULT_SOCKET.to_owned())),
        }
    }

    /// Whether its containers run under our own kernel: then a free lock means that nobody holds it.
    pub(super) fn is_of_this_machine(&self) -> bool {
        matches!(self, Self::Socket(_))
    }

    /// Finds out which version of the API it speaks: an engine may be replaced while we live.
    pub(super) async fn connect(&self) -> Result<Docker, Fault> {
        let seconds = REQUEST_TIMEOUT.as_secs();
        let docker = match self {
            Self::Socket(path) => Docker::connect_with_unix(path, seconds, API_DEFAULT_VERSION),
            Self::Tcp(host) => Docker::connect_with_http(host, seconds, API_DEFAULT_VERSION),
        };
        let asked = docker.map_err(Fault::from)?.negotiate_version().await;
        // Whatever went wrong, nothing was asked of it that matters.
        asked.map_err(|error| match Fault::from(error) {
            Fault::Lost(text) => Fault::Away(text),
            other => other,
        })
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::DockerResponseServerError {
                status_code,
                message,
            } => Self::Refused {
                status: status_code,
                message,
            },
            Error::DockerStreamError { error } => Self::Refused {
                status: 500,
                message: error,
            },
            Error::SocketNotFoundError(path) => Self::Away(format!("there is no {path}")),
            Error::HyperLegacyError { err } if err.is_connect() => Self::Away(innermost(&err)),
            Error::HyperLegacyError { err } => Self::Lost(innermost(&err)),
            Error::RequestTimeoutError => Self::Lost("it did not answer in time".to_owned()),
            other => Self::Lost(other.to_string()),
        }
    }
}

impl From<Fault> for QueryError {
    fn from(fault: Fault) -> Self {
        Self(fault.to_string())
    }
}

impl Fault {
    /// What a submit makes of it when the engine may have done what it was asked.
    pub(super) fn of_submit(self) -> SubmitError {
        let text = self.to_string();
        match self {
            Self::Away(_) => SubmitError::Transient(text),
            // Its own mistake, not the launch's: who knows what it has done.
            Self::Refused { status, .. } if status >= 500 => SubmitError::Ambiguous(text),
            Self::Refused { .. } => SubmitError::Rejected(text),
            Self::Lost(_) => SubmitError::Ambiguous(text),
        }
    }

    /// Whether there is no such container or image.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Docker answers 409 when a name is taken, podman 500.
    pub(super) fn is_taken_name(&self) -> bool {
        match self {
            Self::Refused { status: 409, .. } => true,
            Self::Refused {
                status: 500,
                message,
            } => message.contains("already in use"),
            _ => false,
        }
    }
}

/// The outer ones only say that something failed.
fn innermost(error: &hyper_util::client::legacy::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    if text.contains("ermission denied") {
        text.push_str(" (may our user use the socket? For Docker: add it to the group docker)");
    }
    text
}
