//! What is kept of a job to find it again. Its name on Ray is the launch id.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::submission::Submission;
use crate::{
    executor::Launch,
    job::{Handle, HandleError, LaunchId},
};

/// The version of the handle's data.
const VERSION: u32 = 1;

/// The data of a handle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RayHandle {
    /// The server that made the job, as its metadata has it.
    pub(super) server: String,
    /// The attempt's folder on the server.
    pub(super) attempt_dir: PathBuf,
    /// What it waits for, for people: "2 GPUs and 8 CPUs".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) asked_for: Option<String>,
    /// The same by Ray's names of resources.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) needs: BTreeMap<String, f64>,
}

impl RayHandle {
    pub(super) fn new(launch: &Launch, submission: &Submission) -> Self {
        Self {
            server: launch.server_id.clone(),
            attempt_dir: launch.attempt_dir.clone(),
            asked_for: submission.asked_for.clone(),
            needs: submission.needs.clone(),
        }
    }

    /// Of a job whose submit was never answered.
    pub(super) fn by_name(server: &str, attempt_dir: &Path) -> Self {
        Self {
            server: server.to_owned(),
            attempt_dir: attempt_dir.to_owned(),
            asked_for: None,
            needs: BTreeMap::new(),
        }
    }

    pub(super) fn pack(&self, launch_id: LaunchId) -> Result<Handle, HandleError> {
        Handle::pack(launch_id, VERSION, self)
    }

    pub(super) fn unpack(handle: &Handle) -> Result<Self, HandleError> {
        handle.unpack(VERSION)
    }
}
