//! Every file that could not be had, one a line: `data/missing_files.ndjson`. However many they are, memory does not grow.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::names::hex;
use crate::{
    dataset::{DataFile, MissingFile},
    job_dir::files::sync_dir,
};

const FILE: &str = "missing_files.ndjson";

/// The list while it is written, where nobody sees it.
#[derive(Debug)]
pub(super) struct MissingList {
    draft: PathBuf,
    writer: BufWriter<File>,
    hash: Sha256,
    listed: DataFile,
}

impl MissingList {
    /// An empty list in the folder of drafts.
    pub(super) fn begin(drafts: &Path) -> io::Result<Self> {
        let draft = drafts.join(FILE);
        Ok(Self {
            writer: BufWriter::new(File::create(&draft)?),
            draft,
            hash: Sha256::new(),
            listed: DataFile {
                file: FILE.to_owned(),
                ..DataFile::default()
            },
        })
    }

    pub(super) fn add(&mut self, missing: &MissingFile) -> io::Result<()> {
        let mut line = serde_json::to_vec(missing)?;
        line.push(b'\n');
        self.hash.update(&line);
        self.listed.rows += 1;
        self.listed.bytes += line.len() as u64;
        self.writer.write_all(&line)
    }

    /// Puts the list into the data folder, on disk when this returns; an empty one, too.
    pub(super) fn put_into(self, data_dir: &Path) -> io::Result<DataFile> {
        let file = self
            .writer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&self.draft, data_dir.join(FILE))?;
        sync_dir(data_dir)?;
        Ok(DataFile {
            sha256: hex(&self.hash.finalize()),
            ..self.listed
        })
    }
}
