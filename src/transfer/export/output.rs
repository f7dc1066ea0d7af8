//! The files that rows go into, with the digest of what is in them.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

use crate::dataset::{RowIndexWriter, index_length};

/// What is read or written at once, in bytes.
const BUFFER: usize = 256 << 10;

/// The file of a split.
#[derive(Debug)]
pub(super) struct Output {
    file: File,
    hash: Sha256,
    is_synced: bool,
}

impl Output {
    /// Goes on behind so many bytes: what lies there was written in vain.
    pub(super) fn open(path: &Path, length: u64) -> io::Result<Self> {
        let mut file = open(path)?;
        file.set_len(length)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                length => hash.update(&buffer[..length]),
            }
        }
        Ok(Self {
            file,
            hash,
            is_synced: false,
        })
    }

    /// Of all that was put in, in hexadecimal digits.
    pub(super) fn sha256(&self) -> String {
        let digest = self.hash.clone().finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.is_synced = false;
        self.hash.update(bytes);
        self.file.write_all(bytes)
    }

    /// Returns when what was written is there to stay.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if !self.is_synced {
            self.file.sync_data()?;
            self.is_synced = true;
        }
        Ok(())
    }
}

/// The index of so many rows, ready for the next one.
pub(super) fn open_index(path: &Path, rows: u64) -> io::Result<RowIndexWriter<BufWriter<File>>> {
    let mut file = open(path)?;
    if rows == 0 {
        file.set_len(0)?;
        return RowIndexWriter::begin(BufWriter::with_capacity(BUFFER, file));
    }
    file.set_len(index_length(rows))?;
    file.seek(SeekFrom::End(0))?;
    Ok(RowIndexWriter::go_on(BufWriter::with_capacity(
        BUFFER, file,
    )))
}

/// Opens a file of ours, never one that a link leads to.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}
