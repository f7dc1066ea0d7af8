//! `server/export.json`: how far the rows have come. What lies behind that in the files is not counted.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::splits;
use crate::job_dir::{JobDir, files};

const FILE: &str = "export.json";

/// The index of the rows, in the server's folder of the job.
pub(super) const INDEX_FILE: &str = "rows.index";

/// The longest record that is believed, in bytes: it holds an id for each class of an ontology.
const RECORD_LIMIT: u64 = 16 << 20;

/// How far the rows have come, at the end of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// When the job began to export; another time, another record.
    began_at: Timestamp,
    /// The task whose rows they are.
    pub(super) task: String,
    /// Bytes of the task's result whose rows are in the files.
    pub(super) read: u64,
    /// What of each split is there, in the order of `Split::ALL`.
    pub(super) files: [Part; 4],
    /// Schema ids of the classes that stand in some label, where anybody wants to know.
    #[serde(default)]
    pub(super) labelled: BTreeSet<String>,
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
            task: String::new(),
            read: 0,
            files: Default::default(),
            labelled: BTreeSet::new(),
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

    pub(super) fn read_from(dir: &JobDir) -> io::Result<Self> {
        let record = files::read_json(&dir.server(), FILE, RECORD_LIMIT)?;
        record.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "export.json is gone"))
    }

    pub(super) fn write_to(&self, dir: &JobDir) -> io::Result<()> {
        files::write_atomic(&dir.server().join(FILE), &serde_json::to_vec(self)?)
    }
}

/// Makes the folders ready for the export that began then: as they are if they hold some of it, else empty.
pub(super) fn prepare(dir: &JobDir, began_at: Timestamp) -> io::Result<()> {
    if !dir.path().is_dir() {
        let text = format!("the job's folder {} is gone", dir.path().display());
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    // One that cannot be read is as good as none.
    if Record::read_from(dir).is_ok_and(|record| record.began_at == began_at) {
        return Ok(());
    }
    remove(&dir.data())?;
    fs::create_dir(dir.data())?;
    fs::create_dir_all(dir.server())?;
    for name in [splits::ROWS_FILE, splits::STATE_FILE, INDEX_FILE] {
        remove(&dir.server().join(name))?;
    }
    files::sync_dir(dir.path())?;
    Record::begin(began_at).write_to(dir)
}

/// A command of an earlier attempt may have left anything there: a link is removed, not followed.
fn remove(path: &PathBuf) -> io::Result<()> {
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
