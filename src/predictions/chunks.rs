//! Writing chunks: each a file that is sent as one import.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::frozen::{Chunk, Origin, hex};

/// A chunk is not longer than this, in bytes, unless a single line is.
const MOST_BYTES: u64 = 10_000_000;

/// Writes lines into chunks, one after the other.
pub(super) struct Chunks {
    folder: PathBuf,
    most_lines: u64,
    first: u32,
    done: Vec<Chunk>,
    open: Option<Open>,
}

struct Open {
    file: BufWriter<File>,
    origins: BufWriter<File>,
    lines: u64,
    bytes: u64,
    digest: Sha256,
}

impl Chunks {
    /// Chunks in `folder` of at most so many lines each, the first with this number.
    pub(super) fn begin(folder: &Path, most_lines: u32, first: u32) -> Self {
        Self {
            folder: folder.to_owned(),
            most_lines: u64::from(most_lines.max(1)),
            first,
            done: Vec::new(),
            open: None,
        }
    }

    /// Adds a line.
    pub(super) fn add(&mut self, line: &[u8], origin: Origin) -> io::Result<()> {
        let full = |open: &Open| {
            open.lines >= self.most_lines || open.bytes + 1 + line.len() as u64 > MOST_BYTES
        };
        if self.open.as_ref().is_some_and(full) {
            self.close()?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let number = self.number();
                let create = |ending: &str| {
                    File::create(self.folder.join(format!("c{number}.{ending}")))
                        .map(BufWriter::new)
                };
                self.open.insert(Open {
                    file: create("ndjson")?,
                    origins: create("lines")?,
                    lines: 0,
                    bytes: 0,
                    digest: Sha256::new(),
                })
            }
        };
        if open.lines > 0 {
            // Between lines, not after the last one, as the SDK sends them (captured from labelbox 7.17.0).
            open.write(b"\n")?;
        }
        open.write(line)?;
        open.origins.write_all(&origin.to_bytes())?;
        open.lines += 1;
        Ok(())
    }

    /// The number of the chunk that is written, or will be.
    fn number(&self) -> u32 {
        let done = u32::try_from(self.done.len()).unwrap_or(u32::MAX);
        self.first.saturating_add(done)
    }

    /// All chunks, on disk.
    pub(super) fn finish(mut self) -> io::Result<Vec<Chunk>> {
        self.close()?;
        Ok(self.done)
    }

    fn close(&mut self) -> io::Result<()> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        for file in [open.file, open.origins] {
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
        }
        self.done.push(Chunk {
            number: self.number(),
            name: None,
            lines: open.lines,
            bytes: open.bytes,
            sha256: hex(&open.digest.finalize()),
        });
        Ok(())
    }
}

impl Open {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}
