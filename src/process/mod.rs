//! What the operating system says of processes: who they are, which belong to a launch, and how to signal one safely.
//!
//! A pid alone names nobody, since it is used again: a process is known by its pid and its start time.
//! Where the system is not Linux no process is known, and none is signalled.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as system;
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
use other as system;

mod program;
mod surroundings;

use std::{collections::BTreeMap, fs, io, os::fd::OwnedFd, time::Duration};

use serde::{Deserialize, Serialize};

use crate::job::LaunchId;

pub use program::find_program;
pub use rustix::process::Signal;
pub use surroundings::{Surroundings, is_of_user, unit_of};

/// The variable by which every process of a launch is known.
pub const LAUNCH_MARK: &str = "TRAINHOOK_LAUNCH_ID";

/// Start times count in these, a second: `USER_HZ`, 100 on every Linux of today.
const TICKS_PER_SECOND: u64 = 100;

/// One process, and no later one that bears the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since the boot.
    pub start_time: u64,
}

impl ProcessId {
    /// The process that bears `pid` now; none if there is none, or its system does not tell.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        start_time(pid).map(|start_time| Self { pid, start_time })
    }

    /// Ourselves.
    #[must_use]
    pub fn own() -> Self {
        let pid = std::process::id();
        Self {
            pid,
            start_time: start_time(pid).unwrap_or(0),
        }
    }

    /// Whether it is still there. One that ended and was not yet waited for is gone.
    #[must_use]
    pub fn is_alive(self) -> bool {
        system::look(self.pid).is_some_and(|process| process.id == self && process.is_living())
    }
}

/// A session that a supervisor led, and how long that supervisor was surely there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    leader: ProcessId,
    seen_until: u64,
}

impl Session {
    /// The session of `leader`, which was alive for at least `alive_for` after its start.
    #[must_use]
    pub fn new(leader: ProcessId, alive_for: Duration) -> Self {
        let ticks = alive_for.as_secs().saturating_mul(TICKS_PER_SECOND);
        Self {
            leader,
            seen_until: leader.start_time.saturating_add(ticks),
        }
    }

    /// No session that we know: only their mark tells whose processes are.
    #[must_use]
    pub fn unknown() -> Self {
        let leader = ProcessId {
            pid: u32::MAX,
            start_time: 0,
        };
        Self::new(leader, Duration::ZERO)
    }

    /// Whether the session of that number is still this one. The number can be used again once the
    /// session is empty: then its leader is another, or none of its members bears our mark or was
    /// there while our leader was.
    fn is_still(&self, members: &[Process], marked: impl Fn(u32) -> bool) -> bool {
        match system::look(self.leader.pid) {
            Some(leader) => leader.id == self.leader,
            None => members
                .iter()
                .any(|member| member.id.start_time <= self.seen_until || marked(member.id.pid)),
        }
    }
}

/// One line of the table of processes.
#[derive(Debug, Clone, Copy)]
struct Process {
    id: ProcessId,
    parent: u32,
    session: u32,
    state: char,
    threads: u32,
}

impl Process {
    /// A main thread that ended leaves a process that looks ended while its other threads work on.
    const fn is_living(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x') || self.threads > 1
    }
}

/// When the process that bears `pid` started, in clock ticks since the boot; none if there is none.
#[must_use]
pub fn start_time(pid: u32) -> Option<u64> {
    system::look(pid).map(|process| process.id.start_time)
}

/// Every living process, other than ourselves, that is in `session` or bears the mark of `launch_id`.
#[must_use]
pub fn processes_of(session: &Session, launch_id: LaunchId) -> Vec<ProcessId> {
    let own = std::process::id();
    let mark = format!("{LAUNCH_MARK}={launch_id}");
    let marked = |pid| system::environment_holds(pid, mark.as_bytes());
    let (members, others): (Vec<_>, Vec<_>) = system::processes()
        .into_iter()
        .filter(|process| process.is_living() && process.id.pid != own)
        .partition(|process| process.session == session.leader.pid);
    let is_ours = session.is_still(&members, marked);
    let members = members.into_iter().filter(|_| is_ours);
    let others = others.into_iter().filter(|other| marked(other.id.pid));
    members.chain(others).map(|process| process.id).collect()
}

/// Every living process that descends from us.
#[must_use]
pub fn descendants() -> Vec<ProcessId> {
    let all = system::processes();
    let mut families = vec![std::process::id()];
    let mut found = BTreeMap::new();
    while let Some(parent) = families.pop() {
        for child in all.iter().filter(|process| process.parent == parent) {
            // The table changes while it is read: a pid used again must not lead us in circles.
            if found.insert(child.id.pid, child).is_none() {
                families.push(child.id.pid);
            }
        }
    }
    let living = found.into_values().filter(|process| process.is_living());
    living.map(|process| process.id).collect()
}

/// Waits for every ended child of ours other than `except`, so that it leaves the table of processes.
pub fn reap_children(except: Option<u32>) {
    let own = std::process::id();
    let ended = system::processes().into_iter().filter(|process| {
        process.parent == own && !process.is_living() && Some(process.id.pid) != except
    });
    for process in ended {
        let pid = rustix_pid(process.id.pid);
        // Another of our threads may have been faster; then there is nothing left to do.
        let _ = rustix::process::waitpid(pid, rustix::process::WaitOptions::NOHANG);
    }
}

/// Signals this process and no other; answers false if it is gone.
///
/// # Errors
/// When we may not, or the system cannot.
pub fn kill(process: ProcessId, signal: Signal) -> io::Result<bool> {
    system::kill(process, signal)
}

/// A descriptor that becomes readable when the process ends; none if it has ended.
///
/// # Errors
/// When the system has no such descriptors.
pub fn watch(process: ProcessId) -> io::Result<Option<OwnedFd>> {
    system::watch(process)
}

/// This machine, as far as it can be told apart: `/etc/machine-id`, else the host's name.
#[must_use]
pub fn machine_id() -> String {
    read_word("/etc/machine-id").unwrap_or_else(|| {
        let name = rustix::system::uname();
        name.nodename().to_string_lossy().into_owned()
    })
}

/// What the system does not tell.
pub const UNKNOWN: &str = "unknown";

/// This boot of the machine; `unknown` where the system does not tell.
#[must_use]
pub fn boot_id() -> String {
    read_word("/proc/sys/kernel/random/boot_id").unwrap_or_else(|| UNKNOWN.to_owned())
}

/// The name space in which our pids hold; `unknown` where the system does not tell.
#[must_use]
pub fn pid_namespace() -> String {
    fs::read_link("/proc/self/ns/pid").map_or_else(
        |_| UNKNOWN.to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

fn read_word(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let word = text.trim();
    (!word.is_empty()).then(|| word.to_owned())
}

fn rustix_pid(pid: u32) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)
}
