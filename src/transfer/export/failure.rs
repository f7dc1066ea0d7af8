//! What keeps an export from its end, and what follows.

use std::io;

use crate::{
    job::{Cause, Change},
    labelbox::LabelboxError,
    store::StoreError,
    transfer::steps::Later,
};

/// Why an export does not go on.
#[derive(Debug)]
pub(super) enum Failure {
    /// The job fails.
    Final {
        /// Why.
        cause: Cause,
        /// Why, for people.
        message: String,
    },
    /// The export goes on later, from where it is.
    Later(Later),
    /// Labelbox says that there is no such thing.
    Unknown(LabelboxError),
    /// Labelbox does not know the task any more: another one may do.
    TaskLost,
    /// Addresses in the task's result hold no longer: another task gives fresh ones.
    Expired,
    /// The store does not work.
    Store(StoreError),
}

impl Failure {
    /// The data cannot be fetched.
    pub(super) fn export(message: impl Into<String>) -> Self {
        Self::Final {
            cause: Cause::ExportFailed,
            message: message.into(),
        }
    }

    /// The run cannot be trained as it is.
    pub(super) fn preflight(message: impl Into<String>) -> Self {
        Self::Final {
            cause: Cause::Preflight,
            message: message.into(),
        }
    }

    /// The job directory cannot be written, or read. A full disk is waited for.
    pub(super) fn disk(error: &io::Error) -> Self {
        let message = format!("cannot write the exported data: {error}");
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::later(format!("{message}: it goes on once there is room"))
            }
            _ => Self::Final {
                cause: Cause::Infra,
                message,
            },
        }
    }

    pub(super) fn later(reason: String) -> Self {
        let least = None;
        Self::Later(Later { reason, least })
    }

    /// The same, where it was the task that was asked for.
    pub(super) fn of_task(self) -> Self {
        match self {
            Self::Unknown(_) => Self::TaskLost,
            other => other,
        }
    }

    /// How the job ends; else what else is to be done.
    pub(super) fn into_change(self) -> Result<Change, Self> {
        match self {
            Self::Final { cause, message } => Ok(Change::Fail { cause, message }),
            Self::Unknown(error) => Ok(Change::Fail {
                cause: Cause::ExportFailed,
                message: format!("the data cannot be exported: {error}"),
            }),
            Self::TaskLost => Ok(Change::Fail {
                cause: Cause::ExportFailed,
                message: "Labelbox has lost every export task that was begun".to_owned(),
            }),
            Self::Expired => Ok(Change::Fail {
                cause: Cause::ExportFailed,
                message: "the addresses of the data's files expired before the files were fetched"
                    .to_owned(),
            }),
            other => Err(other),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
