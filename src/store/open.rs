//! Opening: one server per folder, on a local disk, with the settings that durability rests on.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use rusqlite::{Connection, config::DbConfig};
use tokio::sync::watch;
use uuid::Uuid;

use super::{
    Store,
    backup::{BackupError, copy_database},
    checkpointer::Checkpointer,
    folder::StateDir,
    meters::StoreMeters,
    readers::Readers,
    rows::optional_time,
    writer::Writer,
};

/// What brings a database from each version to the next; version 0 is an empty file.
const MIGRATIONS: [&str; 3] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
];

/// The version that this program knows; a newer file is refused.
pub(super) const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// Nobody else writes; this only covers a checkpoint under way.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

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
    /// The database is of an older version, and the copy of it that must come first cannot be made.
    #[error(
        "the store must be brought to a new version, but a copy of the old one cannot be kept: {0}"
    )]
    Copy(Box<BackupError>),
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
    /// Opens or creates the store in `state_dir`, and owns the folder until the last clone is dropped.
    ///
    /// # Errors
    /// [`OpenError`]: another owner, a network disk, a newer or damaged file, a folder that cannot be written.
    pub fn open(state_dir: &Path) -> Result<Self, OpenError> {
        let folder = Arc::new(StateDir::own(state_dir)?);
        let file = database_file(state_dir);
        let connection = open_database(&file)?;
        let (server_id, restored_from) =
            identity(&connection).map_err(|source| OpenError::Database {
                path: file.clone(),
                source,
            })?;
        let (changes, meters) = (watch::Sender::new(0), Arc::<StoreMeters>::default());
        let writer = StateDir::watch(&folder, &file).and_then(|()| {
            let checkpointer = Checkpointer::start(&file, Arc::clone(&folder))?;
            let told = (changes.clone(), Arc::clone(&meters));
            Writer::start(connection, checkpointer, told, folder)
        });
        let writer = writer.map_err(|source| OpenError::Folder {
            path: state_dir.to_owned(),
            source,
        })?;
        Ok(Self {
            writer,
            readers: Readers::new(&file),
            changes,
            server_id,
            restored_from,
            meters,
            file,
        })
    }

    /// The database file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }
}

/// Where the database of `state_dir` is.
pub(super) fn database_file(state_dir: &Path) -> PathBuf {
    state_dir.join("trainhook.db")
}

fn open_database(file: &Path) -> Result<Connection, OpenError> {
    let database = |source| OpenError::Database {
        path: file.to_owned(),
        source,
    };
    let connection = Connection::open(file).map_err(database)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(database)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Else a statement is planned anew whenever a value that is bound to it might have made another plan better.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map_err(database)?;
    let found = user_version(&connection).map_err(database)?;
    if found > SCHEMA_VERSION {
        return Err(OpenError::Newer {
            path: file.to_owned(),
            found,
        });
    }
    set_pragmas(&connection, file)?;
    if found > 0 && found < SCHEMA_VERSION {
        copy_before_migration(&connection, file, found)?;
    }
    migrate(&connection, found).map_err(database)?;
    Ok(connection)
}

/// The server's own id, and when the backup was made that it was put back from.
fn identity(connection: &Connection) -> rusqlite::Result<(String, Option<Timestamp>)> {
    let sql = "SELECT server_id, backup_of FROM server";
    connection.query_row(sql, [], |row| Ok((row.get(0)?, optional_time(row, 1)?)))
}

pub(super) fn user_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Whoever goes back to the older program finds its database there: `trainhook.db.v1`.
fn copy_before_migration(
    connection: &Connection,
    file: &Path,
    found: i64,
) -> Result<(), OpenError> {
    let copy = file.with_added_extension(format!("v{found}"));
    copy_database(connection, &copy, |_| Ok(()))
        .map_err(|error| OpenError::Copy(Box::new(error)))?;
    let copy = copy.display();
    tracing::info!(%copy, "the store is brought to a new version; the old one is kept as {copy}");
    Ok(())
}

/// Brings the database from version `found` to ours, all at once or not at all.
pub(super) fn migrate(connection: &Connection, found: i64) -> rusqlite::Result<()> {
    if found == SCHEMA_VERSION {
        return Ok(());
    }
    let transaction = connection.unchecked_transaction()?;
    let done = usize::try_from(found).unwrap_or_default();
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(migration)?;
    }
    if found == 0 {
        transaction.execute(
            "INSERT INTO server (id, server_id) VALUES (1, ?1)",
            [Uuid::new_v4().simple().to_string()],
        )?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}

/// Sets what durability rests on, and reads it back: SQLite ignores a setting it does not know.
fn set_pragmas(connection: &Connection, file: &Path) -> Result<(), OpenError> {
    let settings = [
        ("journal_mode", "wal"),
        ("synchronous", "2"),
        ("foreign_keys", "1"),
        ("trusted_schema", "0"),
        // A closure that fails is undone from memory, and pages in use stay there.
        ("temp_store", "2"),
        ("cache_size", "-16000"),
        ("wal_autocheckpoint", "16000"),
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
