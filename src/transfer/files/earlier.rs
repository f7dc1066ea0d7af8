//! What earlier exports of a job have brought. Where addresses hold no longer, another export names the same files, in an
//! order of its own: what is here already need not come again.
//!
//! Its notes stand in `server/files.before.ndjson`. After such a renewal, sixteen bytes a file are in memory.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use super::{
    cache::Key,
    journal::{Entry, Outcome},
    line::Wanted,
};

const FILE: &str = "files.before.ndjson";

/// The files that earlier exports have brought, by the numbers of their keys, with their lengths.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    files: Vec<(u64, u64)>,
}

/// Adds the notes of a journal that is about to be emptied. What gets lost of them is only fetched again.
pub(super) fn keep(journal: &File, server_dir: &Path) -> io::Result<()> {
    let mut journal = journal.try_clone()?;
    journal.seek(SeekFrom::Start(0))?;
    let mut options = OpenOptions::new();
    let mut kept = options
        .append(true)
        .create(true)
        .open(server_dir.join(FILE))?;
    io::copy(&mut journal, &mut kept)?;
    // A torn line ends here.
    io::Write::write_all(&mut kept, b"\n")
}

/// Once all lines name their files, nobody asks again.
pub(super) fn forget(server_dir: &Path) -> io::Result<()> {
    match fs::remove_file(server_dir.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Earlier {
    pub(super) fn read(server_dir: &Path) -> io::Result<Self> {
        let file = match File::open(server_dir.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            other => other?,
        };
        let (mut reader, mut line, mut files) = (BufReader::new(file), Vec::new(), Vec::new());
        while reader
            .by_ref()
            .take(Entry::LIMIT)
            .read_until(b'\n', &mut line)?
            > 0
        {
            let entry: Option<Entry> = serde_json::from_slice(&line).ok();
            if let Some(Entry {
                outcome: Outcome::Bytes(bytes),
                key: Some(key),
            }) = entry
            {
                files.push((key, bytes));
            }
            line.clear();
        }
        files.sort_unstable();
        Ok(Self { files })
    }

    /// The length of a file that an earlier export has brought from the same address and that is still here, as it came.
    pub(super) fn find(&self, wanted: &Wanted, data_dir: &Path) -> Option<u64> {
        if self.files.is_empty() {
            return None;
        }
        let place = fs::symlink_metadata(data_dir.join(&wanted.path)).ok();
        let bytes = place.filter(fs::Metadata::is_file)?.len();
        let noted = (Key::of(wanted).number(), bytes);
        self.files.binary_search(&noted).ok().map(|_| bytes)
    }
}
