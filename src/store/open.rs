//! Opening: one server per folder, on a local disk, with the settings that durability rests on.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::Connection;
use rustix::fs::{FlockOperation, flock};
use tokio::sync::watch;
use uuid::Uuid;

use super::{Store, readers::Readers, writer::Writer};

/// The version of `schema.sql`; a newer file is refused.
const SCHEMA_VERSION: i64 = 1;

/// Nobody else writes; this only covers a checkpoint under way.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the folder is looked at: somebody may have deleted it under us.
const FOLDER_WATCH_INTERVAL: Duration = Duration::from_secs(3);

/// The exit code when the folder is gone.
const EXIT_FOLDER_GONE: i32 = 71;

/// Why a store cannot be opened. Nothing on disk was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or a file in it cannot be used.
    #[error("cannot use state_dir {path}: {source}")]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another server owns the folder.
    #[error(
        "another trainhook server (process {owner}) uses state_dir {path}: stop it, or give this one a folder of its own"
    )]
    Taken {
        /// The folder.
        path: PathBuf,
        /// What the lock file says of its owner.
        owner: String,
    },
    /// Locks and shared memory are not to be trusted there.
    #[error(
        "state_dir {0} is on a network file system: use a local disk (jobs_dir may stay shared)"
    )]
    NetworkDisk(PathBuf),
    /// Made by a newer version of this program.
    #[error(
        "{path} has schema version {found}, this program knows {SCHEMA_VERSION}: use the newer program"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// SQLite does not take a setting.
    #[error("{path} does not keep {pragma} (it says {found:?}): the store would not be durable")]
    Pragma {
        /// The database.
        path: PathBuf,
        /// The setting.
        pragma: &'static str,
        /// What it says.
        found: String,
    },
    /// Damaged, or not a database.
    #[error("cannot open {path}: {source}: it was left as it is; restore a backup or move it away")]
    Database {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

impl Store {
    /// Opens or creates the store in `state_dir`, and owns the folder until the process ends.
    ///
    /// # Errors
    /// [`OpenError`]: another owner, a network disk, a newer or damaged file, a folder that cannot be written.
    pub fn open(state_dir: &Path) -> Result<Self, OpenError> {
        let folder = |source| OpenError::Folder {
            path: state_dir.to_owned(),
            source,
        };
        fs::create_dir_all(state_dir).map_err(folder)?;
        if is_network_disk(state_dir) {
            return Err(OpenError::NetworkDisk(state_dir.to_owned()));
        }
        let lock = own_folder(state_dir)?;
        let file = state_dir.join("trainhook.db");
        let (connection, server_id) = open_database(&file)?;
        watch_folder(state_dir, lock).map_err(folder)?;
        let changes = watch::Sender::new(0);
        let writer = Writer::start(connection, changes.clone()).map_err(folder)?;
        Ok(Self {
            writer,
            readers: Readers::new(&file),
            changes,
            server_id,
            file,
        })
    }

    /// The database file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }
}

fn open_database(file: &Path) -> Result<(Connection, String), OpenError> {
    let database = |source| OpenError::Database {
        path: file.to_owned(),
        source,
    };
    let connection = Connection::open(file).map_err(database)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(database)?;
    connection.set_prepared_statement_cache_capacity(64);
    let found = user_version(&connection).map_err(database)?;
    if found > SCHEMA_VERSION {
        return Err(OpenError::Newer {
            path: file.to_owned(),
            found,
        });
    }
    set_pragmas(&connection, file)?;
    if found == 0 {
        create_schema(&connection).map_err(database)?;
    }
    let server_id = connection
        .query_row("SELECT server_id FROM server", [], |row| row.get(0))
        .map_err(database)?;
    Ok((connection, server_id))
}

fn user_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn create_schema(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    connection.execute_batch(include_str!("schema.sql"))?;
    connection.execute(
        "INSERT INTO server (id, server_id) VALUES (1, ?1)",
        [Uuid::new_v4().simple().to_string()],
    )?;
    connection.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    connection.execute_batch("COMMIT")
}

/// Sets what durability rests on, and reads it back: SQLite ignores a setting it does not know.
fn set_pragmas(connection: &Connection, file: &Path) -> Result<(), OpenError> {
    let settings = [
        ("journal_mode", "wal"),
        ("synchronous", "2"),
        ("foreign_keys", "1"),
        ("trusted_schema", "0"),
    ];
    for (pragma, wanted) in settings {
        let source = |source| OpenError::Database {
            path: file.to_owned(),
            source,
        };
        connection
            .pragma_update(None, pragma, wanted)
            .map_err(source)?;
        let found = connection
            .pragma_query_value(None, pragma, |row| row.get::<_, rusqlite::types::Value>(0))
            .map_err(source)?;
        let found = match found {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => format!("{other:?}"),
        };
        if found != wanted {
            return Err(OpenError::Pragma {
                path: file.to_owned(),
                pragma,
                found,
            });
        }
    }
    Ok(())
}

/// Takes the folder's lock; it is held until the process ends.
fn own_folder(state_dir: &Path) -> Result<File, OpenError> {
    let path = state_dir.join("lock");
    let error = |source| OpenError::Folder {
        path: path.clone(),
        source,
    };
    let mut lock = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(error)?;
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        let owner = fs::read_to_string(&path).unwrap_or_default();
        return Err(OpenError::Taken {
            path: state_dir.to_owned(),
            owner: owner.trim().to_owned(),
        });
    }
    lock.set_len(0).map_err(error)?;
    writeln!(lock, "{}", std::process::id()).map_err(error)?;
    Ok(lock)
}

/// Ends the process when the lock file is no longer the one we hold: somebody deleted the folder, and
/// what we acknowledge would be lost.
fn watch_folder(state_dir: &Path, lock: File) -> std::io::Result<()> {
    let path = state_dir.join("lock");
    let held = lock.metadata()?;
    std::thread::Builder::new()
        .name("state-dir-watch".to_owned())
        .spawn(move || {
            let _held_for_ever = lock;
            loop {
                std::thread::sleep(FOLDER_WATCH_INTERVAL);
                let same = fs::metadata(&path)
                    .is_ok_and(|now| (now.dev(), now.ino()) == (held.dev(), held.ino()));
                if !same {
                    tracing::error!(
                        "{} was deleted or replaced under this server; it ends here",
                        path.display()
                    );
                    std::process::exit(EXIT_FOLDER_GONE);
                }
            }
        })?;
    Ok(())
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
