//! What is kept of an attempt to find its container again.

use std::{collections::HashMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    executor::Launch,
    job::{Handle, HandleError, LaunchId},
};

/// The version of the handle's data.
const VERSION: u32 = 1;

/// The label that says whose a container is.
pub(super) const SERVER_LABEL: &str = "trainhook.server";

/// The label that says which attempt it is.
pub(super) const LAUNCH_LABEL: &str = "trainhook.launch";

/// The data of a handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ContainerHandle {
    /// The attempt, as its label has it.
    launch: String,
    /// The engine's own id: a name can be given again.
    pub(super) container: String,
    /// The server that made it.
    pub(super) server: String,
    pub(super) attempt_dir: PathBuf,
}

impl ContainerHandle {
    pub(super) fn new(container: String, launch: &Launch) -> Self {
        Self {
            launch: launch.id.to_string(),
            container,
            server: launch.server_id.clone(),
            attempt_dir: launch.attempt_dir.clone(),
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

    /// Whether a container with these labels is the attempt's, and may be touched.
    pub(super) fn is_on(&self, labels: Option<&HashMap<String, String>>) -> bool {
        let says = |label: &str, value: &str| {
            labels
                .and_then(|labels| labels.get(label))
                .is_some_and(|said| said == value)
        };
        says(SERVER_LABEL, &self.server) && says(LAUNCH_LABEL, &self.launch)
    }
}
