//! What can go wrong with Labelbox, and what should follow from it.

use std::time::Duration;

use crate::outbound;

/// The longest message an error carries, in characters.
const MESSAGE_LIMIT: usize = 300;

/// A call that Labelbox did not answer as wished.
///
/// The message is one line of at most 300 characters and never holds the API key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LabelboxError {
    /// What went wrong.
    pub kind: Kind,
    /// The same in words, with what Labelbox said.
    pub message: String,
    /// How long Labelbox asked us to wait; never more than an hour.
    pub retry_after: Option<Duration>,
    /// The call may have been carried out, now or later, although it was not confirmed.
    pub ambiguous: bool,
}

/// What went wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No connection came about; nothing was sent.
    Unreachable,
    /// The connection broke, or time ran out, after sending had begun.
    Interrupted,
    /// Labelbox had a fault of its own: HTTP 5xx, or an internal error in the answer.
    Unavailable,
    /// Too many calls.
    RateLimited,
    /// The answer is not Labelbox's: a redirect, a page of a proxy, no JSON.
    Foreign,
    /// The answer is Labelbox's but does not say what was asked.
    Unexpected,
    /// The API key was refused.
    Authentication,
    /// The API key could not be read, or cannot be sent.
    KeyUnreadable,
    /// No client can be made: a bad endpoint, or no certificates on this machine.
    Setup,
    /// The API key may not touch this run.
    Authorization,
    /// Labelbox will not take this call as it is.
    Refused,
    /// Labelbox says that there is no such thing.
    NotFound,
}

/// What should follow from an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Call again after a while, or after [`LabelboxError::retry_after`].
    Retry,
    /// No call of this workspace can succeed until somebody mends the key or the settings.
    ParkWorkspace,
    /// Calls for this run are refused; others may succeed.
    ParkRun,
    /// The run may not exist; ask for it before giving it up.
    NotFound,
}

impl Kind {
    /// One word for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Interrupted => "interrupted",
            Self::Unavailable => "unavailable",
            Self::RateLimited => "rate_limited",
            Self::Foreign => "foreign",
            Self::Unexpected => "unexpected",
            Self::Authentication => "authentication",
            Self::KeyUnreadable => "key_unreadable",
            Self::Setup => "setup",
            Self::Authorization => "authorization",
            Self::Refused => "refused",
            Self::NotFound => "not_found",
        }
    }

    /// What should follow.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::Unreachable
            | Self::Interrupted
            | Self::Unavailable
            | Self::RateLimited
            | Self::Foreign
            | Self::Unexpected => Class::Retry,
            Self::Authentication | Self::KeyUnreadable | Self::Setup => Class::ParkWorkspace,
            Self::Authorization | Self::Refused => Class::ParkRun,
            Self::NotFound => Class::NotFound,
        }
    }
}

impl LabelboxError {
    /// What should follow.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.kind.class()
    }

    /// An error that was not carried out and names no wait.
    pub(super) fn new(kind: Kind, message: impl AsRef<str>) -> Self {
        Self {
            kind,
            message: one_line(message.as_ref()),
            retry_after: None,
            ambiguous: false,
        }
    }

    /// The same error, when the call may have been carried out.
    pub(super) fn ambiguous(self) -> Self {
        Self {
            ambiguous: true,
            ..self
        }
    }

    /// An answer that parses but lacks what was asked for: whether the call was carried out stays open.
    pub(super) fn unexpected(what: impl AsRef<str>) -> Self {
        let message = format!("labelbox gave an unexpected answer: {}", what.as_ref());
        Self::new(Kind::Unexpected, message).ambiguous()
    }

    /// A fault below HTTP.
    pub(super) fn transport(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let (kind, what) = match () {
            () if error.is_builder() => (Kind::Setup, "the endpoint of labelbox is not usable"),
            () if error.is_connect() => (Kind::Unreachable, "cannot connect to labelbox"),
            () if error.is_timeout() => (Kind::Interrupted, "labelbox did not answer in time"),
            () if error.is_decode() => (Kind::Foreign, "the answer cannot be decoded"),
            () => (Kind::Interrupted, "the connection to labelbox broke"),
        };
        let fault = Self::new(kind, format!("{what}: {}", outbound::causes(&error)));
        match kind {
            Kind::Setup | Kind::Unreachable => fault,
            _ => fault.ambiguous(),
        }
    }
}

/// Text from elsewhere, made fit for a log: no control characters, no line ends, cut at the limit.
fn one_line(text: &str) -> String {
    let line = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    match line.chars().count() {
        length if length <= MESSAGE_LIMIT => line,
        _ => line.chars().take(MESSAGE_LIMIT - 1).chain(['…']).collect(),
    }
}
