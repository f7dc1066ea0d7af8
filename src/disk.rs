//! How much room is left where the server writes.

use std::{io, path::Path};

use rustix::io::Errno;

use crate::config::format_size;

/// What the disks had when they were last looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Room {
    /// Under the store, in bytes; none if it cannot be known.
    pub state_dir: Option<u64>,
    /// Under the job directories.
    pub jobs_dir: Option<u64>,
    /// Below this nothing new starts.
    pub min_free: u64,
}

impl Room {
    /// Looks at the disks of both folders. It may block as long as a disk hangs.
    #[must_use]
    pub fn look(state_dir: &Path, jobs_dir: &Path, min_free: u64) -> Self {
        Self {
            state_dir: free(state_dir).ok(),
            jobs_dir: free(jobs_dir).ok(),
            min_free,
        }
    }

    /// Why nothing new may start, in words; none if there is room. What cannot be known holds up nothing.
    #[must_use]
    pub fn shortage(&self) -> Option<String> {
        let folders = [("state_dir", self.state_dir), ("jobs_dir", self.jobs_dir)];
        let short = folders.into_iter().find_map(|(name, free)| {
            let free = free.filter(|free| *free < self.min_free)?;
            Some((name, free))
        });
        let (name, free) = short?;
        Some(format!(
            "only {} are free on the disk of {name}, less than min_free ({}): nothing new starts until there is room",
            format_size(free),
            format_size(self.min_free)
        ))
    }
}

/// Whether an error of the file system says nothing about the file: the same call may succeed later.
#[must_use]
pub fn may_pass(error: &io::Error) -> bool {
    let Some(errno) = Errno::from_io_error(error) else {
        return false;
    };
    // The machine's limits, and a file server that is away.
    let passing = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::AGAIN,
        Errno::INTR,
        Errno::IO,
        Errno::STALE,
        Errno::TIMEDOUT,
    ];
    passing.contains(&errno)
}

/// What an ordinary user may still write on the disk of `path`, in bytes.
///
/// # Errors
/// As the file system says.
pub fn free(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
