//! The store's folder: owned by one server, on a local disk, and still there.

use std::{
    fs::{self, File, Metadata},
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};

use super::OpenError;

/// How often folder and database are looked at: somebody may have deleted them under us.
const WATCH_INTERVAL: Duration = Duration::from_secs(3);

/// How long a lock that is held is asked for again.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// The exit code when the folder or the database is gone.
const EXIT_FOLDER_GONE: i32 = 71;

/// A folder that is ours: nobody else takes its lock until this is dropped.
#[derive(Debug)]
pub(super) struct StateDir {
    lock_path: PathBuf,
    lock: File,
}

impl StateDir {
    /// Makes the folder if it is not there, and takes its lock.
    pub(super) fn own(path: &Path) -> Result<Self, OpenError> {
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Folder { path, source }
        };
        fs::create_dir_all(path).map_err(unusable(path))?;
        if is_network_disk(path) {
            return Err(OpenError::NetworkDisk(path.to_owned()));
        }
        let lock_path = path.join("lock");
        let mut lock = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&lock_path)
            .map_err(unusable(&lock_path))?;
        if !take_lock(&lock) {
            let owner = fs::read_to_string(&lock_path).unwrap_or_default();
            return Err(OpenError::Taken {
                path: path.to_owned(),
                owner: owner.trim().to_owned(),
            });
        }
        let named = lock
            .set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()));
        named.map_err(unusable(&lock_path))?;
        Ok(Self { lock_path, lock })
    }

    /// Ends the process when the folder, or the database in it, is deleted or replaced while it is ours: what we
    /// acknowledge would be lost.
    pub(super) fn watch(this: &Arc<Self>, database: &Path) -> std::io::Result<()> {
        let folder: Weak<Self> = Arc::downgrade(this);
        let (database, opened) = (database.to_owned(), identity(&fs::metadata(database)?));
        let thread = std::thread::Builder::new().name("state-dir-watch".to_owned());
        thread.spawn(move || {
            loop {
                std::thread::sleep(WATCH_INTERVAL);
                match folder.upgrade() {
                    None => return,
                    Some(folder) if !folder.is_there() => end_without(&folder.lock_path),
                    Some(_) if !is_same(&database, opened) => end_without(&database),
                    Some(_) => {}
                }
            }
        })?;
        Ok(())
    }

    fn is_there(&self) -> bool {
        let held = self.lock.metadata();
        held.is_ok_and(|held| is_same(&self.lock_path, identity(&held)))
    }
}

/// What a file is, whatever its name.
fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn is_same(path: &Path, file: (u64, u64)) -> bool {
    fs::metadata(path).is_ok_and(|there| identity(&there) == file)
}

fn end_without(path: &Path) -> ! {
    tracing::error!(
        "{} was deleted or replaced under this server; it ends here",
        path.display()
    );
    std::process::exit(EXIT_FOLDER_GONE)
}

/// A server that was killed while it spawned a supervisor leaves its lock with that child until the child is a
/// program of its own, so the lock is asked for a few times.
fn take_lock(lock: &File) -> bool {
    let begun = Instant::now();
    loop {
        if flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return true;
        }
        if begun.elapsed() > LOCK_PATIENCE {
            return false;
        }
        std::thread::sleep(LOCK_PATIENCE / 20);
    }
}

/// NFS, SMB and cluster file systems: their locks and shared memory do not carry SQLite's WAL.
#[cfg(target_os = "linux")]
fn is_network_disk(path: &Path) -> bool {
    const NETWORK: [i64; 8] = [
        0x6969,
        0xFF53_4D42,
        0xFE53_4D42,
        0x517B,
        0x0BD0_0BD0,
        0x4750_4653,
        0x5346_414F,
        0x00C3_6400,
    ];
    rustix::fs::statfs(path).is_ok_and(|stat| NETWORK.contains(&(stat.f_type & 0xFFFF_FFFF)))
}

#[cfg(not(target_os = "linux"))]
fn is_network_disk(_path: &Path) -> bool {
    false
}
