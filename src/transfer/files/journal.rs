//! What has become of each file so far, in the order of the rows: `server/files.ndjson`. Nothing of it is in memory.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::{cache::Key, earlier, line::Wanted};

const FILE: &str = "files.ndjson";

/// The version of the file.
const VERSION: u32 = 1;

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It lies in its place and has so many bytes.
    Bytes(u64),
    /// It could not be had, and why.
    Missing(String),
}

/// A line of the journal.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    #[serde(flatten)]
    pub(super) outcome: Outcome,
    /// Tells the file from others; none if an earlier version has noted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<u64>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Heading {
    version: u32,
    export: String,
}

/// The journal of one export, locked: what an interrupted fetch has still under way ends before the next one begins.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
}

/// The entries from the first one on.
#[derive(Debug)]
pub(super) struct Entries {
    reader: BufReader<File>,
    /// Where the next entry begins.
    at: u64,
}

impl Journal {
    /// Opens the journal of this export; that of another one is emptied, and what it says of files that came is kept apart.
    pub(super) fn open(server_dir: &Path, export: &str) -> io::Result<Self> {
        let path: PathBuf = server_dir.join(FILE);
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(path)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
        let heading = Heading {
            version: VERSION,
            export: export.to_owned(),
        };
        let mut journal = Self { file };
        let found = journal.entries()?.read::<Heading>();
        if found.as_ref() != Some(&heading) {
            earlier::keep(&journal.file, server_dir)?;
            journal.file.set_len(0)?;
            let mut line = serde_json::to_vec(&heading)?;
            line.push(b'\n');
            journal.file.write_all(&line)?;
        }
        Ok(journal)
    }

    /// The entries so far. Only one reader is of use at a time.
    pub(super) fn read(&self) -> io::Result<Entries> {
        let mut entries = self.entries()?;
        entries.read::<Heading>();
        Ok(entries)
    }

    /// The file, to append to.
    pub(super) fn appender(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    fn entries(&self) -> io::Result<Entries> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Entries {
            reader: BufReader::new(file),
            at: 0,
        })
    }
}

impl Entries {
    /// The next entry; none at the end, and where the journal was torn.
    pub(super) fn next(&mut self) -> Option<Outcome> {
        self.read::<Entry>().map(|entry| entry.outcome)
    }

    /// Drops everything from the entry on that begins at `from`.
    pub(super) fn cut(self, from: u64) -> io::Result<()> {
        self.reader.into_inner().set_len(from)
    }

    /// Where the next entry begins.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    fn read<T: for<'de> Deserialize<'de>>(&mut self) -> Option<T> {
        let mut line = Vec::new();
        let mut bounded = io::Read::take(&mut self.reader, Entry::LIMIT);
        let length = bounded.read_until(b'\n', &mut line).ok()?;
        let entry = serde_json::from_slice(line.strip_suffix(b"\n")?).ok()?;
        self.at += length as u64;
        Some(entry)
    }
}

impl Entry {
    /// None is longer, in bytes.
    pub(super) const LIMIT: u64 = 4096;

    pub(super) fn of(wanted: &Wanted, outcome: &Outcome) -> Self {
        let outcome = match outcome {
            Outcome::Missing(reason) if reason.len() as u64 > Self::LIMIT / 16 => {
                Outcome::Missing(reason.chars().take(100).collect())
            }
            other => other.clone(),
        };
        let key = Some(Key::of(wanted).number());
        Self { outcome, key }
    }

    pub(super) fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}
