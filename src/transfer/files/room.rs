//! Room on the disk while files come in: no file may take what the server needs.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{FilesError, cache::Cache};
use crate::{config::format_size, disk};

/// What was measured counts for this long.
const FRESH: Duration = Duration::from_secs(1);

/// How much may still be written.
#[derive(Debug)]
pub(super) struct Budget {
    dir: PathBuf,
    min_free: u64,
    cache: Cache,
    measured: Mutex<Option<Measured>>,
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    at: Instant,
    left: u64,
}

impl Budget {
    pub(super) fn new(dir: &Path, min_free: u64, cache: Cache) -> Self {
        Self {
            dir: dir.to_owned(),
            min_free,
            cache,
            measured: Mutex::new(None),
        }
    }

    /// Takes so many bytes of the room.
    pub(super) async fn take(&self, bytes: u64) -> Result<(), FilesError> {
        if self.take_measured(bytes) {
            return Ok(());
        }
        let (dir, cache, min_free) = (self.dir.clone(), self.cache.clone(), self.min_free);
        let least = min_free.saturating_add(bytes);
        let measure = move || {
            let free = disk::free(&dir)?;
            if free >= least {
                return Ok(free);
            }
            // What is only kept for later jobs makes room first.
            cache.shrink(0);
            disk::free(&dir)
        };
        let free = super::blocking(measure).await?;
        let left = free.saturating_sub(min_free);
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        *measured = Some(Measured {
            at: Instant::now(),
            left: left.saturating_sub(bytes),
        });
        match free >= least {
            true => Ok(()),
            false => Err(FilesError::later(format!(
                "the disk of jobs_dir has only {} left, and min_free is {}: the data's files wait for room",
                format_size(free),
                format_size(min_free)
            ))),
        }
    }

    fn take_measured(&self, bytes: u64) -> bool {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        match measured.as_mut() {
            Some(known) if known.at.elapsed() < FRESH && known.left >= bytes => {
                known.left -= bytes;
                true
            }
            _ => false,
        }
    }
}
