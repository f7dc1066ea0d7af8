//! What is kept of an attempt to find its processes again.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    executor::QueryError,
    job::{Handle, HandleError, LaunchId},
    job_dir::Holder,
    process::{self, ProcessId},
};

/// The version of the handle's data.
const VERSION: u32 = 1;

/// The data of a handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LocalHandle {
    pub(super) machine_id: String,
    pub(super) boot_id: String,
    pub(super) pid_namespace: String,
    /// The supervisor.
    #[serde(flatten)]
    pub(super) supervisor: ProcessId,
    pub(super) attempt_dir: PathBuf,
}

impl LocalHandle {
    /// A child that we have not waited for keeps its pid, so what stands under it is the child.
    pub(super) fn of_child(pid: Option<u32>, attempt_dir: &Path) -> Self {
        let pid = pid.unwrap_or(0);
        Self {
            machine_id: process::machine_id(),
            boot_id: process::boot_id(),
            pid_namespace: process::pid_namespace(),
            supervisor: ProcessId {
                pid,
                start_time: process::start_time(pid).unwrap_or(0),
            },
            attempt_dir: attempt_dir.to_owned(),
        }
    }

    pub(super) fn of_holder(holder: Holder, attempt_dir: &Path) -> Self {
        Self {
            machine_id: holder.machine_id,
            boot_id: holder.boot_id,
            pid_namespace: holder.pid_namespace,
            supervisor: holder.process,
            attempt_dir: attempt_dir.to_owned(),
        }
    }

    pub(super) fn pack(&self, launch_id: LaunchId) -> Result<Handle, HandleError> {
        Handle::pack(launch_id, VERSION, self)
    }

    pub(super) fn unpack(handle: &Handle) -> Result<Self, HandleError> {
        handle.unpack(VERSION)
    }

    /// A container may have been made anew under another name; the same boot is the same machine.
    pub(super) fn is_of_this_machine(&self) -> Result<(), QueryError> {
        let here = process::machine_id();
        let is_known = self.boot_id != process::UNKNOWN;
        if self.machine_id == here || (is_known && self.is_of_this_boot()) {
            return Ok(());
        }
        Err(QueryError(format!(
            "it runs on another machine ({}, this is {here}): only a server there can see it",
            self.machine_id
        )))
    }

    pub(super) fn is_of_this_boot(&self) -> bool {
        self.boot_id == process::boot_id()
    }

    /// What of its processes can be seen from here.
    pub(super) fn sight(&self) -> Sight {
        sight(&process::pid_namespace(), &self.pid_namespace)
    }
}

/// The pid namespace of the machine itself; the kernel gives it this name (`PROC_PID_INIT_INO`).
const OF_THE_MACHINE: &str = "pid:[4026531836]";

/// What can be seen of processes that were numbered in some namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// All, by the numbers that the handle has.
    Whole,
    /// All, under other numbers: only their mark tells whose they are.
    ByMark,
    /// Nothing, and there is nothing: they were numbered in a container, and ended with it.
    Ended,
    /// Nothing, and they may be there.
    None,
}

fn sight(ours: &str, theirs: &str) -> Sight {
    let is_known = |name: &str| name.starts_with("pid:[");
    match (ours, theirs) {
        _ if ours == theirs => Sight::Whole,
        (OF_THE_MACHINE, _) => Sight::ByMark,
        (_, OF_THE_MACHINE) => Sight::None,
        _ if is_known(ours) && is_known(theirs) => Sight::Ended,
        _ => Sight::None,
    }
}
