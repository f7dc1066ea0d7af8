//! How far the rows have come; what lies behind that in the files is not counted.
//!
//! `server/export.json` counts what is on disk to stay. `server/export.unsynced.json` counts what the files hold for as
//! long as the machine is not switched off, which is all that a server needs that was only killed.

use std::{fs, io, path::Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{classes::Labelled, splits};
use crate::{
    dataset::{Split, index_length},
    job_dir::{JobDir, files},
    process,
};

const FILE: &str = "export.json";
const UNSYNCED_FILE: &str = "export.unsynced.json";

/// The index of the rows, in the server's folder of the job.
pub(super) const INDEX_FILE: &str = "rows.index";

/// The longest record that is believed, in bytes: it holds a path for each class of an ontology.
const RECORD_LIMIT: u64 = 16 << 20;

/// How far the rows have come, at the end of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// When the job began to export; another time, another record.
    began_at: Timestamp,
    /// Set where it counts only during this boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot_id: Option<String>,
    /// The task whose rows they are.
    pub(super) task: String,
    /// Bytes of the task's result whose rows are in the files.
    pub(super) read: u64,
    /// What of each split is there, in the order of `Split::ALL`.
    pub(super) files: [Part; 4],
    /// The classes that stand in labels, where anybody wants to know; none if an earlier version counted them.
    #[serde(default)]
    pub(super) classes: Option<Labelled>,
    /// Whether all rows are there, each file with its digest.
    pub(super) complete: bool,
}

/// What of a split is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// Of the whole file, once it is.
    pub(super) sha256: String,
}

impl Record {
    fn begin(began_at: Timestamp) -> Self {
        Self {
            began_at,
            boot_id: None,
            task: String::new(),
            read: 0,
            files: Default::default(),
            classes: Some(Labelled::default()),
            complete: false,
        }
    }

    /// The same export, of another task: nothing of it is there.
    pub(super) fn restarted(&self, task: &str) -> Self {
        Self {
            task: task.to_owned(),
            ..Self::begin(self.began_at)
        }
    }

    pub(super) fn rows(&self) -> u64 {
        self.files.iter().map(|part| part.rows).sum()
    }

    /// Whether all that it counts on is on disk.
    pub(super) fn is_there(&self, dir: &JobDir) -> bool {
        let holds = |path: &Path, length| {
            fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() >= length)
        };
        let mut parts = Split::ALL.into_iter().zip(&self.files);
        parts.all(|(split, part)| holds(&dir.data().join(split.file_name()), part.bytes))
            && holds(&dir.server().join(INDEX_FILE), index_length(self.rows()))
    }

    pub(super) fn read_from(dir: &JobDir) -> io::Result<Self> {
        let synced: Option<Self> = files::read_json(&dir.server(), FILE, RECORD_LIMIT)?;
        let synced =
            synced.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "export.json is gone"))?;
        let unsynced = files::read_json(&dir.server(), UNSYNCED_FILE, RECORD_LIMIT);
        let unsynced: Option<Self> = unsynced.ok().flatten();
        Ok(unsynced
            .filter(|record| record.is_newer_than(&synced))
            .map_or(synced, |record| Self {
                boot_id: None,
                ..record
            }))
    }

    fn is_newer_than(&self, synced: &Self) -> bool {
        self.boot_id == Some(process::boot_id())
            && (self.began_at, &self.task) == (synced.began_at, &synced.task)
            && self.read > synced.read
    }

    pub(super) fn write_to(&self, dir: &JobDir) -> io::Result<()> {
        files::write_atomic(&dir.server().join(FILE), &serde_json::to_vec(self)?)?;
        remove(&dir.server().join(UNSYNCED_FILE))
    }

    /// Notes how far the files are without waiting for the disk.
    pub(super) fn write_unsynced_to(&self, dir: &JobDir) -> io::Result<()> {
        let record = Self {
            boot_id: Some(process::boot_id()),
            ..self.clone()
        };
        let file = dir.server().join(UNSYNCED_FILE);
        let draft = dir.server().join(format!(".{UNSYNCED_FILE}"));
        fs::write(&draft, serde_json::to_vec(&record)?)?;
        fs::rename(draft, file)
    }
}

/// Makes the folders ready for the export that began then: as they are if they hold some of it, else empty. Answers
/// whether somebody was at it before.
pub(super) fn prepare(dir: &JobDir, began_at: Timestamp) -> io::Result<bool> {
    if !dir.path().is_dir() {
        let text = format!("the job's folder {} is gone", dir.path().display());
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    // One that cannot be read is as good as none.
    if Record::read_from(dir).is_ok_and(|record| record.began_at == began_at) {
        return Ok(true);
    }
    remove(&dir.data())?;
    fs::create_dir(dir.data())?;
    fs::create_dir_all(dir.server())?;
    remove_splits(dir)?;
    remove(&dir.server().join(INDEX_FILE))?;
    files::sync_dir(dir.path())?;
    Record::begin(began_at).write_to(dir)?;
    Ok(false)
}

/// Once all rows are in the files of their splits, nobody asks again.
pub(super) fn remove_splits(dir: &JobDir) -> io::Result<()> {
    remove(&dir.server().join(splits::STATE_FILE))?;
    remove(&dir.server().join(splits::ROWS_FILE))
}

/// A command of an earlier attempt may have left anything there: a link is removed, not followed.
fn remove(path: &Path) -> io::Result<()> {
    let is_folder = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    let removed = match is_folder(path) {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
