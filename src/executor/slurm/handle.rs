//! What is kept of a job to find it again.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::job::{Handle, HandleError, LaunchId};

/// The version of the handle's data.
const VERSION: u32 = 1;

/// The data of a handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SlurmHandle {
    /// For people, and to tell two jobs of one name apart. Alone it proves nothing.
    pub(super) job_id: String,
    /// Accounting is asked from then on.
    pub(super) submitted_at: Timestamp,
    /// The attempt's folder, where nodes share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) attempt_dir: Option<PathBuf>,
}

impl SlurmHandle {
    /// Of a job that was submitted just now, or is found just now.
    pub(super) fn new(job_id: String, attempt_dir: Option<PathBuf>) -> Self {
        Self {
            job_id,
            submitted_at: Timestamp::now(),
            attempt_dir,
        }
    }

    pub(super) fn pack(&self, launch_id: LaunchId) -> Result<Handle, HandleError> {
        Handle::pack(launch_id, VERSION, self)
    }

    pub(super) fn unpack(handle: &Handle) -> Result<Self, HandleError> {
        handle.unpack(VERSION)
    }
}
