//! What is sent, as it lies on disk: `server/upload/` of a job.
//!
//! ```text
//! server/upload/frozen.json       how many lines, and each chunk with its sha256; written last
//! server/upload/c<n>.ndjson       a chunk, byte for byte as it is sent
//! server/upload/c<n>.lines        for each of its lines the number in the command's file, and the uuid
//! server/upload/c<n>.refused.ndjson  what Labelbox did not take of it
//! ```

use std::{
    fs,
    io::{self, Read, Seek},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Problem;
use crate::job_dir::files;

/// The longest manifest believed, in bytes: some hundred thousand chunks.
const MANIFEST_LIMIT: u64 = 64 << 20;

/// Bytes of a line's origin.
pub(super) const ORIGIN: usize = 4 + 16;

/// The predictions of a job, frozen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// The lines that the command wrote.
    pub lines: u64,
    /// Those of them that Labelbox took from an earlier job.
    #[serde(default)]
    pub taken: u64,
    /// Those of them that are not sent.
    pub rejected: u64,
    /// The first of these for each of the first few reasons, the commonest reason before the others.
    pub first: Vec<Problem>,
    /// What is sent.
    pub chunks: Vec<Chunk>,
}

/// One file of predictions, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// The first is 1.
    pub number: u32,
    /// What Labelbox calls its import, where an earlier job gave it its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its predictions.
    pub lines: u64,
    /// Its length.
    pub bytes: u64,
    /// Of its content, in hexadecimal digits.
    pub sha256: String,
}

/// Where a line of a chunk comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Its number in the command's file, or with [`READ_BACK`](super::READ_BACK) among the lines that were made of results.
    pub line: u32,
    /// Its uuid; metrics need none.
    pub uuid: Option<Uuid>,
}

impl Frozen {
    /// The folder of a job's frozen predictions, within its `server` folder.
    #[must_use]
    pub fn folder(server: &Path) -> PathBuf {
        server.join("upload")
    }

    /// What was frozen in a job's `server` folder; none if nothing was.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn open(server: &Path) -> io::Result<Option<Self>> {
        files::read_json(server, "upload/frozen.json", MANIFEST_LIMIT)
    }

    /// Writes the manifest into a folder of frozen predictions, and makes all of the folder durable.
    ///
    /// # Errors
    /// As the file system says, and when there are so many chunks that it would not be read again.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        if text.len() as u64 > MANIFEST_LIMIT {
            let chunks = self.chunks.len();
            let text = format!("{chunks} imports are too many: raise the model's import_lines");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        files::write_atomic(&folder.join("frozen.json"), &text)
    }

    /// So many predictions are sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.lines).sum()
    }
}

impl Chunk {
    /// The chunk as it was frozen, byte for byte, to be read from its beginning.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was frozen.
    pub fn open(&self, server: &Path) -> io::Result<fs::File> {
        let name = self.file("ndjson");
        let file = files::open_untrusted(server, &name)?;
        let gone = || io::Error::new(io::ErrorKind::InvalidData, format!("{name} is gone"));
        let mut file = file.ok_or_else(gone)?;
        let (mut digest, mut piece) = (Sha256::new(), vec![0; 64 * 1024]);
        let mut bytes = 0;
        while bytes <= self.bytes {
            let read = file.read(&mut piece)?;
            if read == 0 {
                break;
            }
            digest.update(&piece[..read]);
            bytes += read as u64;
        }
        if bytes != self.bytes || hex(&digest.finalize()) != self.sha256 {
            let text = format!("{name} was changed");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        file.rewind()?;
        Ok(file)
    }

    /// The lines of the chunk.
    ///
    /// # Errors
    /// As [`Chunk::open`].
    pub fn read(&self, server: &Path) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.open(server)?
            .take(self.bytes)
            .read_to_end(&mut content)?;
        Ok(content)
    }

    /// Where each of its lines comes from, in order.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn origins(&self, server: &Path) -> io::Result<Vec<Origin>> {
        let name = self.file("lines");
        let most = self.lines.saturating_mul(ORIGIN as u64);
        let content = files::read_untrusted(server, &name, most)?.unwrap_or_default();
        let origins: Vec<Origin> = content
            .chunks_exact(ORIGIN)
            .filter_map(Origin::read)
            .collect();
        match origins.len() as u64 == self.lines {
            true => Ok(origins),
            false => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{name} was changed"),
            )),
        }
    }

    /// What Labelbox did not take of it; none if that is not known.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn refused(&self, server: &Path) -> io::Result<Option<Vec<Problem>>> {
        let Some(file) = files::open_untrusted(server, &self.file("refused.ndjson"))? else {
            return Ok(None);
        };
        let lines = serde_json::Deserializer::from_reader(io::BufReader::new(file)).into_iter();
        let most = usize::try_from(self.lines).unwrap_or(usize::MAX);
        let problems: Result<Vec<Problem>, _> = lines.take(most).collect();
        problems.map(Some).map_err(|error| match error.is_io() {
            true => io::Error::from(error),
            // Also where the file ends within a line: it will not go on.
            false => io::Error::new(io::ErrorKind::InvalidData, error),
        })
    }

    /// Notes what Labelbox did not take of it, durably.
    ///
    /// # Errors
    /// As the file system says.
    pub fn note_refused(&self, server: &Path, problems: &[Problem]) -> io::Result<()> {
        let mut text = Vec::new();
        for problem in problems {
            serde_json::to_writer(&mut text, problem).map_err(io::Error::other)?;
            text.push(b'\n');
        }
        files::write_atomic(&server.join(self.file("refused.ndjson")), &text)
    }

    fn file(&self, ending: &str) -> String {
        format!("upload/c{}.{ending}", self.number)
    }
}

impl Origin {
    pub(super) fn to_bytes(self) -> [u8; ORIGIN] {
        let mut bytes = [0; ORIGIN];
        let (line, uuid) = bytes.split_at_mut(4);
        line.copy_from_slice(&self.line.to_le_bytes());
        uuid.copy_from_slice(self.uuid.unwrap_or_default().as_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (line, uuid) = bytes.split_first_chunk::<4>()?;
        let uuid = Uuid::from_slice(uuid).ok()?;
        Some(Self {
            line: u32::from_le_bytes(*line),
            uuid: (!uuid.is_nil()).then_some(uuid),
        })
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
