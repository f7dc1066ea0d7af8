//! Systems without `/proc`: no process is known, and none is signalled.

use std::{io, os::fd::OwnedFd};

use rustix::process::Signal;

use super::{Process, ProcessId};

pub(super) fn look(_pid: u32) -> Option<Process> {
    None
}

pub(super) fn processes() -> Vec<Process> {
    Vec::new()
}

pub(super) fn environment_holds(_pid: u32, _assignment: &[u8]) -> bool {
    false
}

pub(super) fn kill(_process: ProcessId, _signal: Signal) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn watch(_process: ProcessId) -> io::Result<Option<OwnedFd>> {
    Err(io::ErrorKind::Unsupported.into())
}
