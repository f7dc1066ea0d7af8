//! Why an upload does not go on.

use std::fmt;

use super::Later;
use crate::{
    job::{Cause, Change},
    labelbox::{Class, LabelboxError},
    store::StoreError,
};

/// What keeps an upload from going on.
#[derive(Debug)]
pub(super) enum Failure {
    /// The store.
    Store(StoreError),
    /// Something that may be over soon.
    Later(Later),
    /// Something that will not be; a sentence for people.
    Final(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(formatter),
            Self::Later(later) => later.reason.fmt(formatter),
            Self::Final(message) => message.fmt(formatter),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    pub(super) fn later(reason: impl Into<String>) -> Self {
        Self::Later(Later {
            reason: reason.into(),
            least: None,
        })
    }

    /// What follows when Labelbox did not answer as wished. A key can be mended while we wait; what Labelbox finds wrong
    /// with the call or the run will be wrong the next time, too.
    pub(super) fn of_labelbox(error: &LabelboxError) -> Self {
        match error.class() {
            Class::Retry | Class::ParkWorkspace => Self::Later(Later {
                reason: error.to_string(),
                least: error.retry_after,
            }),
            Class::ParkRun => Self::Final(format!(
                "trained, but its predictions were refused: {error}"
            )),
            Class::NotFound => Self::Final(
                "trained, but Labelbox does not know the model run any longer, or the API key cannot see it; \
                 `trainhook jobs retry-upload` sends its predictions later"
                    .to_owned(),
            ),
        }
    }
}

/// The end of a job whose predictions did not arrive.
pub(super) fn change(message: String) -> Change {
    Change::Fail {
        cause: Cause::UploadFailed,
        message,
    }
}
