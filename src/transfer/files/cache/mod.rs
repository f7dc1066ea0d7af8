//! Files of earlier jobs, kept so that an unchanged one is not sent again.
//!
//! An entry is found by row, part and address (its query, which is another one each time, left out), and used only
//! when the file's own server says that its version is still the same. A job gets a copy (where the file system can
//! share the blocks of copies, it does), never the entry itself, and the copy is checked: a command that runs as our
//! user cannot spoil the data of the next one.

mod entries;
mod eviction;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, TryLockError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{line::Wanted, names::hex};
use crate::{disk, downloads::Version, job_dir::files::read_json};
use entries::{copy, description, remove, write_entry};

/// What describes an entry ends like this.
const DESCRIPTION: &str = ".json";

/// A description is no longer, in bytes.
const DESCRIPTION_LIMIT: u64 = 16 * 1024;

/// Of a full cache the oldest tenth goes.
const KEEP: u64 = 9;

/// Fetched files, kept on disk for the next job. All clones are the same.
#[derive(Debug, Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    limit: u64,
    min_free: u64,
    /// What it holds, in bytes; none before anybody has looked. Rather too much than too little.
    held: Mutex<Option<u64>>,
    /// What was ever put there since the start, in bytes.
    added: AtomicU64,
    evicting: Mutex<()>,
    hits: AtomicU64,
}

/// Which file of which row an entry is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key(String);

/// What is kept of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) version: Version,
    pub(super) bytes: u64,
    sha256: String,
}

impl Key {
    pub(super) fn of(wanted: &Wanted) -> Self {
        let address = wanted.url.split(['?', '#']).next().unwrap_or_default();
        let name = format!("{}\0{}\0{address}", wanted.row, wanted.what);
        Self(hex(&Sha256::digest(name.as_bytes())))
    }

    /// Tells it from others where a wrong guess does no harm by itself.
    pub(super) fn number(&self) -> u64 {
        let digits = self.0.get(..16).unwrap_or_default();
        u64::from_str_radix(digits, 16).unwrap_or_default()
    }
}

impl Cache {
    /// Keeps at most `limit` bytes below `dir`, nothing if it is 0, and nothing more while less than twice `min_free`
    /// bytes of its disk are free.
    #[must_use]
    pub fn new(dir: &Path, limit: u64, min_free: u64) -> Self {
        Self {
            inner: Arc::new(Inner {
                dir: dir.to_owned(),
                limit,
                min_free,
                held: Mutex::new(None),
                added: AtomicU64::new(0),
                evicting: Mutex::new(()),
                hits: AtomicU64::new(0),
            }),
        }
    }

    /// How often it had what was wanted.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.inner.hits.load(Ordering::Relaxed)
    }

    /// What is kept under a key; it may block.
    pub(super) fn find(&self, key: &Key) -> Option<Entry> {
        if self.inner.limit == 0 {
            return None;
        }
        let path = self.inner.path(key);
        let folder = path.parent()?;
        let name = format!("{}{DESCRIPTION}", path.file_name()?.to_str()?);
        let entry: Option<Entry> = read_json(folder, &name, DESCRIPTION_LIMIT).ok().flatten();
        // An earlier version has kept others, too.
        entry.filter(|entry| entry.version.is_exact())
    }

    /// Copies an entry to `to`; false if it is not what was put there or cannot be had, whatever the reason: then it is
    /// gone, and the file comes from where it came from before. It may block.
    pub(super) fn take(&self, key: &Key, entry: &Entry, to: &Path) -> bool {
        let path = self.inner.path(key);
        let is_good =
            copy(&path, to).is_ok_and(|found| found == (entry.bytes, entry.sha256.clone()));
        if is_good {
            self.inner.hits.fetch_add(1, Ordering::Relaxed);
            // The time of its last use; without it the entry only goes earlier.
            let touched = File::open(description(&path));
            let _ = touched.and_then(|file| file.set_modified(SystemTime::now()));
        } else {
            remove(&path);
            let _ = fs::remove_file(to);
        }
        is_good
    }

    /// Keeps a copy of a file whose version is exact. What keeps it from being kept is no error: it is fetched again. It may block.
    pub(super) fn put(&self, key: &Key, version: Version, from: &Path) {
        let put = || {
            let bytes = fs::metadata(from)?.len();
            match self.inner.has_room(bytes) {
                true => self.inner.put(key, version, from),
                false => Ok(()),
            }
        };
        if let Err(error) = put() {
            tracing::debug!("a file is not kept for the next job: {error}");
        }
    }

    /// Gives up what was used least recently, until no more than `most` bytes are held. It may block.
    pub(super) fn shrink(&self, most: u64) {
        self.inner.shrink(most);
    }
}

impl Inner {
    fn path(&self, Key(name): &Key) -> PathBuf {
        let (shelf, rest) = name.split_at_checked(2).unwrap_or((name, ""));
        self.dir.join(shelf).join(rest)
    }

    fn has_room(&self, bytes: u64) -> bool {
        if bytes > self.limit || self.limit == 0 {
            return false;
        }
        let free = disk::free(&self.dir).or_else(|_| {
            fs::create_dir_all(&self.dir)?;
            disk::free(&self.dir)
        });
        let least = self.min_free.saturating_mul(2).saturating_add(bytes);
        free.is_ok_and(|free| free >= least)
    }

    /// The content comes first and its description after it: without one, and with that of another job's content, it
    /// counts for nothing.
    fn put(&self, key: &Key, version: Version, from: &Path) -> io::Result<()> {
        let path = self.path(key);
        let folder = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(folder)?;
        let draft = folder.join(format!("{}.draft", Uuid::new_v4().simple()));
        let written = write_entry(&path, &draft, version, from);
        if written.is_err() {
            // A draft that stays behind goes with the oldest.
            let _ = fs::remove_file(&draft);
        }
        self.count(written?);
        Ok(())
    }

    fn shrink(&self, most: u64) {
        let _evicting = match self.evicting.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Somebody is at it.
            Err(TryLockError::WouldBlock) => return,
        };
        self.evict(most);
    }

    /// Whoever holds the lock may not see what has come meanwhile, so each waits, and looks again.
    fn shrink_to_limit(&self) {
        let _evicting = lock(&self.evicting);
        if lock(&self.held).is_none_or(|held| held > self.limit) {
            self.evict(self.limit / 10 * KEEP);
        }
    }

    fn evict(&self, most: u64) {
        let added = || self.added.load(Ordering::Relaxed);
        let before = added();
        let left = eviction::evict(&self.dir, most);
        // What came meanwhile may have been seen, or not.
        *lock(&self.held) = Some(left + (added() - before));
    }

    fn count(&self, bytes: u64) {
        self.added.fetch_add(bytes, Ordering::Relaxed);
        let held = {
            let mut held = lock(&self.held);
            let known = held.map_or_else(|| eviction::held(&self.dir), |held| held + bytes);
            *held = Some(known);
            known
        };
        if held > self.limit {
            self.shrink_to_limit();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
