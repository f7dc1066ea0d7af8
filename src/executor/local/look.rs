//! Looking at an attempt's lock and processes, and ending them. Blocking.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use super::handle::{LocalHandle, Sight};
use crate::{
    executor::{CancelOutcome, Found, QueryError, wish::wish_cancel},
    job::{Cause, Exit, Handle, LaunchId, Observation, Phase},
    job_dir::{AttemptDir, HEARTBEAT_INTERVAL, Holder},
    process::{self, ProcessId, Session, Signal},
};

/// How long one cleanup waits for killed processes to be gone; the next one goes on.
const KILL_PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks at killed processes.
const KILL_PAUSE: Duration = Duration::from_millis(5);

/// What one look found.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) observation: Observation,
    /// The supervisor that lives.
    pub(super) supervisor: Option<ProcessId>,
}

/// An attempt of this machine and this boot.
struct Place {
    dir: AttemptDir,
    launch_id: LaunchId,
    handle: LocalHandle,
}

/// Who lives there.
enum Life {
    /// The lock is held, by this one if it says so.
    Locked(Option<ProcessId>),
    /// Nobody holds the lock, but a supervisor is there: about to take it, or about to end.
    Unlocked(ProcessId),
    /// No supervisor.
    Over,
    /// Nothing at all: the container that it ran in has ended.
    Ended,
}

pub(super) fn find(dir: &AttemptDir, launch_id: LaunchId) -> Result<Found, QueryError> {
    let holder = dir.read_holder().map_err(unreadable)?;
    match holder.filter(|holder| holder.launch_id == launch_id) {
        Some(holder) => {
            let handle = LocalHandle::of_holder(holder, dir.path()).pack(launch_id);
            Ok(Found::Attempts(vec![handle?]))
        }
        // A supervisor may be on its way to the lock. Submitting again is harmless: the claim decides.
        None => Ok(Found::Unknowable),
    }
}

pub(super) fn observe(handle: &Handle) -> Result<Look, QueryError> {
    let Some(place) = Place::open(handle)? else {
        return Ok(node_lost());
    };
    match place.life()? {
        Life::Ended => Ok(node_lost()),
        Life::Locked(supervisor) => Ok(living(Phase::Running, supervisor)),
        Life::Unlocked(supervisor) => Ok(living(Phase::Starting, Some(supervisor))),
        Life::Over => {
            let leftovers = !place.leftovers()?.is_empty();
            let mut look = look(Phase::Gone);
            look.observation.leftovers = leftovers;
            Ok(look)
        }
    }
}

fn living(phase: Phase, supervisor: Option<ProcessId>) -> Look {
    Look {
        supervisor,
        ..look(phase)
    }
}

pub(super) fn cancel(handle: &Handle, grace: Duration) -> Result<CancelOutcome, QueryError> {
    let Some(place) = Place::open(handle)? else {
        return Ok(CancelOutcome::AlreadyEnded);
    };
    let supervisor = match place.life()? {
        Life::Locked(supervisor) => supervisor,
        Life::Unlocked(supervisor) => Some(supervisor),
        Life::Over | Life::Ended => return Ok(CancelOutcome::AlreadyEnded),
    };
    wish_cancel(&place.dir, grace)?;
    if let Some(supervisor) = supervisor {
        // The file is the wish; the signal only makes it noticed sooner.
        let _ = process::kill(supervisor, Signal::TERM);
    }
    Ok(CancelOutcome::Requested)
}

pub(super) fn cleanup(handle: &Handle) -> Result<(), QueryError> {
    let Some(place) = Place::open(handle)? else {
        return Ok(());
    };
    match place.life()? {
        Life::Ended => return Ok(()),
        Life::Over => {}
        Life::Locked(_) | Life::Unlocked(_) => {
            return Err(QueryError("its supervisor is still there".to_owned()));
        }
    }
    let begun = Instant::now();
    loop {
        let left = place.leftovers()?;
        if left.is_empty() {
            return Ok(());
        }
        if begun.elapsed() >= KILL_PATIENCE {
            let pids: Vec<u32> = left.iter().map(|process| process.pid).collect();
            return Err(QueryError(format!("killed but still there: {pids:?}")));
        }
        for process in left {
            // One that cannot be killed is still there at the end and named then.
            let _ = process::kill(process, Signal::KILL);
        }
        thread::sleep(KILL_PAUSE);
    }
}

impl Place {
    /// None if the machine was booted since: nothing of the attempt can be there.
    fn open(handle: &Handle) -> Result<Option<Self>, QueryError> {
        let launch_id = handle.launch_id;
        let handle = LocalHandle::unpack(handle)?;
        handle.is_of_this_machine()?;
        if !handle.is_of_this_boot() {
            return Ok(None);
        }
        let dir = AttemptDir::at(handle.attempt_dir.clone());
        Ok(Some(Self {
            dir,
            launch_id,
            handle,
        }))
    }

    /// The lock first, the processes after: a supervisor that takes the lock in between is alive at
    /// the second look, and one that ended in between is over.
    fn life(&self) -> Result<Life, QueryError> {
        if self.dir.is_locked().map_err(unreadable)? {
            return Ok(Life::Locked(self.holder()?));
        }
        // The lock is the kernel's, whatever it calls our processes: nobody holds it.
        match self.handle.sight() {
            Sight::Whole => {
                let mut supervisors = self.supervisors()?;
                let alive = supervisors.find(|supervisor| supervisor.is_alive());
                Ok(alive.map_or(Life::Over, Life::Unlocked))
            }
            Sight::ByMark => Ok(Life::Over),
            Sight::Ended => Ok(Life::Ended),
            Sight::None => Err(QueryError(
                "its processes are numbered in another pid namespace: only a server there can see them"
                    .to_owned(),
            )),
        }
    }

    /// The one that was spawned, and the one that took the lock; they differ after a repeated submit.
    fn supervisors(&self) -> Result<impl Iterator<Item = ProcessId>, QueryError> {
        let holder = self.holder()?;
        Ok(std::iter::once(self.handle.supervisor).chain(holder))
    }

    /// The process that the lock file names, if it is one of here and now.
    fn holder(&self) -> Result<Option<ProcessId>, QueryError> {
        let is_here = |holder: &Holder| {
            holder.launch_id == self.launch_id
                && holder.machine_id == self.handle.machine_id
                && holder.boot_id == self.handle.boot_id
                && holder.pid_namespace == process::pid_namespace()
        };
        let holder = self.dir.read_holder().map_err(unreadable)?;
        Ok(holder.filter(is_here).map(|holder| holder.process))
    }

    fn leftovers(&self) -> Result<Vec<ProcessId>, QueryError> {
        if self.handle.sight() != Sight::Whole {
            return Ok(process::processes_of(&Session::unknown(), self.launch_id));
        }
        let beats = self.dir.read_heartbeat().ok().flatten().unwrap_or(0);
        let beats = u32::try_from(beats.saturating_sub(1)).unwrap_or(u32::MAX);
        let alive_for = HEARTBEAT_INTERVAL.saturating_mul(beats);
        let mut left: Vec<ProcessId> = self
            .supervisors()?
            .map(|supervisor| Session::new(supervisor, alive_for))
            .flat_map(|session| process::processes_of(&session, self.launch_id))
            .collect();
        left.sort_unstable();
        left.dedup();
        Ok(left)
    }
}

fn node_lost() -> Look {
    look(Phase::Exited(Exit {
        cause: Some(Cause::NodeLost),
        ..Exit::default()
    }))
}

fn look(phase: Phase) -> Look {
    Look {
        observation: Observation {
            phase,
            reason: None,
            leftovers: false,
        },
        supervisor: None,
    }
}

fn unreadable(error: io::Error) -> QueryError {
    QueryError(format!("the attempt's folder cannot be read: {error}"))
}
