//! `supervisor.lock`: held for as long as a supervisor lives, and naming it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AttemptDir, files};
use crate::{
    job::LaunchId,
    process::{self, ProcessId},
};

/// How often a supervisor's heartbeat counts on.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);

/// The longest lock file believed, in bytes.
const HOLDER_LIMIT: u64 = 16 * 1024;

/// The content of the lock file: the supervisor that took it last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    #[serde(flatten)]
    pub process: ProcessId,
    /// The boot during which it ran.
    pub boot_id: String,
    /// The machine on which it ran.
    pub machine_id: String,
    /// Where its pid holds.
    pub pid_namespace: String,
    /// The attempt.
    pub launch_id: LaunchId,
    /// Its instance, as in its claim.
    pub instance: Uuid,
}

impl Holder {
    /// This process, with a fresh instance.
    #[must_use]
    pub fn own(launch_id: LaunchId) -> Self {
        Self {
            process: ProcessId::own(),
            boot_id: process::boot_id(),
            machine_id: process::machine_id(),
            pid_namespace: process::pid_namespace(),
            launch_id,
            instance: Uuid::new_v4(),
        }
    }
}

/// The lock, held until it is dropped or the process ends in whatever way.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Names the one who holds it, durably.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn name_holder(&mut self, holder: &Holder) -> io::Result<()> {
        let text = serde_json::to_vec(holder).map_err(io::Error::other)?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&text)?;
        self.file.sync_all()
    }
}

impl AttemptDir {
    /// Takes the supervisor's lock; none if it is taken, be it only by somebody who looks.
    ///
    /// # Errors
    /// When the folder cannot be written, or its file system has no locks.
    pub fn take_lock(&self) -> io::Result<Option<Lock>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(self.lock())?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock { file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a supervisor lives: looks for a moment with a shared lock.
    ///
    /// # Errors
    /// When the file is there but cannot be opened or locked.
    pub fn is_locked(&self) -> io::Result<bool> {
        let Some(file) = files::open_untrusted(self.path(), "supervisor.lock")? else {
            return Ok(false);
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// The supervisor that took the lock last; none if none did, or it had no time to say so.
    ///
    /// # Errors
    /// When the file is there but cannot be read.
    pub fn read_holder(&self) -> io::Result<Option<Holder>> {
        let Some(file) = files::open_untrusted(self.path(), "supervisor.lock")? else {
            return Ok(None);
        };
        let mut text = Vec::new();
        file.take(HOLDER_LIMIT).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text).ok())
    }
}
