//! The right to run the command: the attempt's lock, then its claim.

use std::{
    thread,
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::SuperviseError;
use crate::{
    job::LaunchId,
    job_dir::{AttemptDir, Claim, ClaimOutcome, Claimant, Holder, Lock},
};

/// Those who only look hold the lock for an instant; a supervisor holds it longer than this.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Between two tries for the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Lock and claim, held until the process ends.
#[derive(Debug)]
pub(super) struct Seat {
    instance: Uuid,
    _lock: Lock,
}

impl Seat {
    /// With the lock taken, wins the claim as `instance`, or answers why this supervisor must not run anything.
    pub(super) fn take(
        mut lock: Lock,
        dir: &AttemptDir,
        launch_id: LaunchId,
        instance: Uuid,
    ) -> Result<Self, SuperviseError> {
        // Whoever comes late leaves the name of the one who ran the command in the lock file.
        let winner = dir
            .read_claim()
            .map_err(SuperviseError::broken("read claim.json"))?;
        if let Some(winner) = winner {
            return Err(lost(&winner));
        }
        let holder = Holder {
            instance,
            ..Holder::own(launch_id)
        };
        lock.name_holder(&holder)
            .map_err(SuperviseError::broken("write supervisor.lock"))?;
        let claim = Claim {
            launch_id,
            by: Claimant::Supervisor {
                instance: holder.instance,
            },
            boot_id: holder.boot_id,
            machine_id: holder.machine_id,
            engine_id: None,
            stage: None,
        };
        match dir.try_claim(&claim) {
            Ok(ClaimOutcome::Won) => Ok(Self {
                instance: holder.instance,
                _lock: lock,
            }),
            Ok(ClaimOutcome::Lost(winner)) => Err(lost(&winner)),
            Err(source) => Err(SuperviseError::broken("claim the attempt")(source)),
        }
    }

    pub(super) fn instance(&self) -> Uuid {
        self.instance
    }
}

/// The lock of an attempt's folder; only one supervisor at a time is at work there.
pub(super) fn wait_for_lock(dir: &AttemptDir) -> Result<Lock, SuperviseError> {
    let begun = Instant::now();
    loop {
        let lock = dir
            .take_lock()
            .map_err(SuperviseError::broken("lock supervisor.lock"))?;
        match lock {
            Some(lock) => return Ok(lock),
            None if begun.elapsed() >= LOCK_PATIENCE => return Err(SuperviseError::LockBusy),
            None => thread::sleep(LOCK_PAUSE),
        }
    }
}

fn lost(winner: &Claim) -> SuperviseError {
    SuperviseError::ClaimLost(match &winner.by {
        Claimant::Supervisor { instance } => format!("by supervisor {instance}"),
        Claimant::Revoked { reason } => format!("revoked, {reason}"),
    })
}
