//! What is kept of an attempt to find its Job again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    executor::Launch,
    job::{Handle, HandleError, LaunchId},
};

/// The version of the handle's data.
const VERSION: u32 = 1;

/// The label that says whose an object is.
pub(super) const SERVER_LABEL: &str = "trainhook.server";

/// The label that says which attempt it is.
pub(super) const LAUNCH_LABEL: &str = "trainhook.launch";

/// The data of a handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JobHandle {
    /// The attempt, which is the Job's name.
    #[serde(skip)]
    pub(super) launch: String,
    /// Where the Job is.
    pub(super) namespace: String,
    /// The Job's own id, for people.
    uid: String,
    /// The server that made it.
    pub(super) server: String,
    /// The attempt's folder on the server.
    pub(super) attempt_dir: PathBuf,
}

impl JobHandle {
    pub(super) fn new(namespace: &str, uid: Option<String>, launch: &Launch) -> Self {
        Self {
            launch: launch.id.to_string(),
            namespace: namespace.to_owned(),
            uid: uid.unwrap_or_default(),
            server: launch.server_id.clone(),
            attempt_dir: launch.attempt_dir.clone(),
        }
    }

    /// Of a Job whose submit was never answered.
    pub(super) fn by_name(namespace: &str, server: &str, attempt_dir: &Path) -> Self {
        Self {
            launch: String::new(),
            namespace: namespace.to_owned(),
            uid: String::new(),
            server: server.to_owned(),
            attempt_dir: attempt_dir.to_owned(),
        }
    }

    pub(super) fn pack(&self, launch_id: LaunchId) -> Result<Handle, HandleError> {
        Handle::pack(launch_id, VERSION, self)
    }

    pub(super) fn unpack(handle: &Handle) -> Result<Self, HandleError> {
        Ok(Self {
            launch: handle.launch_id.to_string(),
            ..handle.unpack(VERSION)?
        })
    }

    /// Whether an object with these labels is the attempt's, and may be touched.
    pub(super) fn is_on(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        are_of(labels, &self.server, &self.launch)
    }
}

/// Whether these labels name the server and the attempt.
pub(super) fn are_of(
    labels: Option<&BTreeMap<String, String>>,
    server: &str,
    launch: &str,
) -> bool {
    let says = |label: &str, value: &str| {
        let said = labels.and_then(|labels| labels.get(label));
        said.is_some_and(|said| said == value)
    };
    says(SERVER_LABEL, server) && says(LAUNCH_LABEL, launch)
}
