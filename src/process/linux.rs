//! Linux: `/proc` and pidfds.

use std::{fs, io, os::fd::OwnedFd};

use rustix::{
    io::Errno,
    process::{PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal},
};

use super::{Process, ProcessId, rustix_pid};

/// What `/proc/<pid>/stat` says.
pub(super) fn look(pid: u32) -> Option<Process> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The whole table of processes, as good as it can be read while it changes.
pub(super) fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| look(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// Whether one of the variables that the process was started with is exactly `assignment`.
pub(super) fn environment_holds(pid: u32, assignment: &[u8]) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|block| block.split(|byte| *byte == 0).any(|one| one == assignment))
}

pub(super) fn kill(process: ProcessId, signal: Signal) -> io::Result<bool> {
    let sent = match open(process) {
        Ok(None) => return Ok(false),
        Ok(Some(descriptor)) => pidfd_send_signal(descriptor, signal),
        // Kernels before 5.3: the start time is compared right before the signal.
        Err(Errno::NOSYS) if process.is_alive() => match rustix_pid(process.pid) {
            Some(pid) => kill_process(pid, signal),
            None => return Ok(false),
        },
        Err(Errno::NOSYS) => return Ok(false),
        Err(error) => Err(error),
    };
    match sent {
        Err(Errno::SRCH) => Ok(false),
        other => other.map(|()| true).map_err(io::Error::from),
    }
}

pub(super) fn watch(process: ProcessId) -> io::Result<Option<OwnedFd>> {
    open(process).map_err(io::Error::from)
}

/// The start time is compared after opening: from then on the descriptor means this process, whoever bears its pid.
fn open(process: ProcessId) -> rustix::io::Result<Option<OwnedFd>> {
    let Some(pid) = rustix_pid(process.pid) else {
        return Ok(None);
    };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH | Errno::INVAL) => Ok(None),
        other => other.map(|descriptor| process.is_alive().then_some(descriptor)),
    }
}

/// The second field is the program's name in parentheses and may itself hold spaces and parentheses.
fn parse(pid: u32, stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // The first of these is the third field of the manual's list.
    let field = |number: usize| fields.get(number - 3);
    Some(Process {
        id: ProcessId {
            pid,
            start_time: field(22)?.parse().ok()?,
        },
        state: field(3)?.chars().next()?,
        parent: field(4)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        threads: field(20)?.parse().ok()?,
    })
}
