//! Copies of the database: made while the server runs, and put back when it does not.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, backup::Backup};

use super::{
    OpenError, Store,
    folder::StateDir,
    open::{BUSY_TIMEOUT, SCHEMA_VERSION, database_file, migrate, user_version},
    rows::millis,
};
use crate::{config::Secret, job_dir::files::sync_dir, mirror::MirrorKey};

/// Why a copy was not made. Nothing is left of it, and what it would have replaced is still there.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database cannot be read, or what was read is no store of ours.
    #[error("cannot copy {path}: {source}")]
    Read {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The copy cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The copy.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// SQLite finds the copy inconsistent, and so its source.
    #[error("{path} is damaged: {found}")]
    Damaged {
        /// The database.
        path: PathBuf,
        /// SQLite's first complaint.
        found: String,
    },
    /// The file was made by a newer version of this program.
    #[error(
        "{path} has schema version {found}, this program knows {SCHEMA_VERSION}: use the newer program"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// The store that is to be replaced is in use, or its folder cannot be used.
    #[error(transparent)]
    Open(#[from] Box<OpenError>),
}

impl Store {
    /// Copies the database of `state_dir` into `copy`, whether its server runs or not. An older file of that name
    /// is replaced once the new one is whole and on disk.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn backup(state_dir: &Path, copy: &Path, now: Timestamp) -> Result<(), BackupError> {
        let source = open_to_read(&database_file(state_dir))?;
        let key = MirrorKey::stored(state_dir).map_err(write_error(state_dir))?;
        copy_database(&source, copy, |copied| {
            mark_as_backup(copied, now)?;
            key.iter().try_for_each(|key| enclose(copied, key))
        })
    }

    /// Puts `backup` in the place of the database of `state_dir`, whose server must not run. Answers where the
    /// replaced database was moved, if there was one.
    ///
    /// # Errors
    /// [`BackupError`]; the database is then still the one that it was.
    pub fn restore(
        state_dir: &Path,
        backup: &Path,
        now: Timestamp,
    ) -> Result<Option<PathBuf>, BackupError> {
        let source = open_to_read(backup)?;
        let _folder = StateDir::own(state_dir).map_err(Box::new)?;
        let file = database_file(state_dir);
        let arriving = state_dir.join("trainhook.db.restoring");
        let key = enclosed(&source).map_err(|source| BackupError::Read {
            path: backup.to_owned(),
            source,
        })?;
        copy_database(&source, &arriving, |copied| {
            mark_as_backup(copied, now)?;
            copied.execute_batch("DROP TABLE IF EXISTS mirror_key")
        })?;
        if let Some(key) = key {
            put_back(state_dir, &key, now).map_err(write_error(state_dir))?;
        }
        let moved = move_aside(&file, now).map_err(write_error(&file))?;
        let placed = fs::rename(&arriving, &file).and_then(|()| sync_dir(state_dir));
        placed.map_err(write_error(&file))?;
        Ok(moved)
    }
}

/// Copies all that is committed into a new file that only its owner can read, lets `finish` touch it, and gives it
/// its name when it is on disk.
pub(super) fn copy_database(
    source: &Connection,
    copy: &Path,
    finish: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<(), BackupError> {
    let draft = copy.with_added_extension("part");
    let written = write_draft(source, &draft, finish).and_then(|()| {
        let folder = match copy.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        File::open(&draft)
            .and_then(|draft| draft.sync_all())
            .and_then(|()| fs::rename(&draft, copy))
            .and_then(|()| sync_dir(folder))
            .map_err(write_error(copy))
    });
    written.inspect_err(|_| {
        // The error that matters is already on its way.
        let _ = fs::remove_file(&draft);
    })
}

fn write_draft(
    source: &Connection,
    draft: &Path,
    finish: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<(), BackupError> {
    let mut private = File::options();
    private.create(true).write(true).truncate(true).mode(0o600);
    private.open(draft).map_err(write_error(draft))?;
    let read_error = |source| BackupError::Read {
        path: draft.to_owned(),
        source,
    };
    let mut copied = Connection::open(draft).map_err(read_error)?;
    // All pages in one step see one snapshot, whatever the server commits meanwhile.
    Backup::new(source, &mut copied)
        .and_then(|backup| backup.step(-1))
        .map_err(read_error)?;
    // One file, without a log beside it.
    copied
        .pragma_update(None, "journal_mode", "delete")
        .and_then(|()| finish(&copied))
        .map_err(read_error)?;
    let found: String = copied
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(read_error)?;
    match found.as_str() {
        "ok" => Ok(()),
        _ => Err(BackupError::Damaged {
            path: draft.to_owned(),
            found,
        }),
    }
}

/// A store that finds this mark when it is opened knows that it was put back.
fn mark_as_backup(copied: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    migrate(copied, user_version(copied)?)?;
    let sql = "UPDATE server SET backup_of = coalesce(backup_of, ?1)";
    copied.execute(sql, [millis(now)]).map(drop)
}

/// Attempts that share no files with the server know it by tokens made of this key, so the copy holds it too.
fn enclose(copied: &Connection, key: &Secret) -> rusqlite::Result<()> {
    copied.execute_batch(
        "DROP TABLE IF EXISTS mirror_key; CREATE TABLE mirror_key (key TEXT NOT NULL)",
    )?;
    let sql = "INSERT INTO mirror_key (key) VALUES (?1)";
    copied.execute(sql, [key.expose()]).map(drop)
}

/// Older backups hold none, nor do those of servers that never had one.
fn enclosed(backup: &Connection) -> rusqlite::Result<Option<Secret>> {
    if !backup.table_exists(None, "mirror_key")? {
        return Ok(None);
    }
    let sql = "SELECT key FROM mirror_key";
    let key = backup.query_row(sql, [], |row| row.get::<_, String>(0));
    Ok(key.optional()?.map(Secret::new))
}

/// Gives the folder the key that the backup's attempts know; another one that was there is kept beside it.
fn put_back(state_dir: &Path, key: &Secret, now: Timestamp) -> io::Result<()> {
    match MirrorKey::stored(state_dir) {
        Ok(Some(there)) if there.expose() == key.expose() => return Ok(()),
        Ok(None) => {}
        Ok(Some(_)) | Err(_) => {
            let file = state_dir.join(MirrorKey::FILE);
            fs::rename(&file, replaced(&file, now))?;
        }
    }
    MirrorKey::store(state_dir, key)
}

/// The name of a file that something else takes the place of.
fn replaced(file: &Path, now: Timestamp) -> PathBuf {
    file.with_added_extension(format!("replaced-{}", now.strftime("%Y%m%dT%H%M%S%.3fZ")))
}

fn open_to_read(file: &Path) -> Result<Connection, BackupError> {
    let read_error = |source| BackupError::Read {
        path: file.to_owned(),
        source,
    };
    let connection =
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(read_error)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(read_error)?;
    // Whoever is not a store of ours has no such table.
    connection
        .query_row("SELECT server_id FROM server", [], |_| Ok(()))
        .map_err(read_error)?;
    match user_version(&connection).map_err(read_error)? {
        found if found > SCHEMA_VERSION => Err(BackupError::Newer {
            path: file.to_owned(),
            found,
        }),
        _ => Ok(connection),
    }
}

/// Gives the database that is to be replaced another name, with all that was committed to it.
fn move_aside(file: &Path, now: Timestamp) -> io::Result<Option<PathBuf>> {
    if !file.exists() {
        return Ok(None);
    }
    let aside = replaced(file, now);
    // The log goes into the file, so that the file can be moved alone. A damaged one keeps its log beside it.
    let folded = Connection::open(file).and_then(|old| {
        old.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        old.close().map_err(|(_, error)| error)
    });
    for log in ["-wal", "-shm"] {
        let beside = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(log);
            PathBuf::from(name)
        };
        if folded.is_err() && beside(file).exists() {
            fs::rename(beside(file), beside(&aside))?;
        }
    }
    // A link first: at no instant is there no database, in whose place a server would make an empty one.
    fs::hard_link(file, &aside)?;
    Ok(Some(aside))
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Write { path, source }
}
