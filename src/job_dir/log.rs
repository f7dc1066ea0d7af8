//! The log of a command, read by its logical offset: byte 0 is the first that the command ever wrote.
//!
//! `log/output.log` holds the beginning; `log/output.<start>.log` hold the newest parts. What lies
//! between them was left out to keep the log within its bound.

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom},
};

use super::{AttemptDir, files};

/// Entries of the log's folder that are looked at; a command can plant any number.
const ENTRIES_LIMIT: usize = 1000;

/// Looks at the folder before giving up, when its parts are replaced while we read.
const LOOKS: u32 = 4;

/// A log is never bounded to less than this, in bytes.
const LEAST_LIMIT: u64 = 4096;

/// Parts kept besides the beginning.
pub const LOG_PARTS_KEPT: usize = 2;

/// How long the part that begins at `start` may become where the whole log is bounded to `limit` bytes: half of it for
/// the beginning, a quarter for each of the newest parts.
#[must_use]
pub fn log_part_room(limit: u64, start: u64) -> u64 {
    limit.max(LEAST_LIMIT) / if start == 0 { 2 } else { 4 }
}

/// Some bytes of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogChunk {
    /// Where the bytes begin; later than asked if what was asked for is left out.
    pub from: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Where to read on.
    pub next: u64,
    /// Where the log ends now.
    pub total: u64,
}

/// One file of the log.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// The name of the part that begins at `start`, relative to the attempt's folder.
#[must_use]
pub fn log_part_name(start: u64) -> String {
    match start {
        0 => "log/output.log".to_owned(),
        _ => format!("log/output.{start:020}.log"),
    }
}

impl AttemptDir {
    /// Reads at most `limit` bytes of the log from `from` on; nothing when the log ends before.
    ///
    /// # Errors
    /// When the log is there but cannot be read.
    pub fn read_log(&self, from: u64, limit: u64) -> io::Result<LogChunk> {
        let mut outcome = self.read_log_once(from, limit);
        for _ in 1..LOOKS {
            match outcome {
                Ok(Some(chunk)) => return Ok(chunk),
                Ok(None) => outcome = self.read_log_once(from, limit),
                Err(error) => return Err(error),
            }
        }
        outcome?.ok_or_else(|| io::Error::other("the log changes faster than it can be read"))
    }

    /// The last bytes of the log, at most `limit`.
    ///
    /// # Errors
    /// When the log is there but cannot be read.
    pub fn log_tail(&self, limit: u64) -> io::Result<LogChunk> {
        let parts = self.log_parts()?;
        let Some(total) = parts.last().map(|last| last.end) else {
            return Ok(LogChunk::default());
        };
        // Bytes before a gap are no part of the tail.
        let mut unbroken = total;
        for part in parts.iter().rev() {
            if part.end < unbroken {
                break;
            }
            unbroken = part.start;
        }
        self.read_log(unbroken.max(total.saturating_sub(limit)), limit)
    }

    /// None if a part vanished between listing and reading.
    fn read_log_once(&self, from: u64, limit: u64) -> io::Result<Option<LogChunk>> {
        let parts = self.log_parts()?;
        let total = parts.last().map_or(0, |last| last.end);
        let mut chunk = LogChunk {
            from,
            next: from.min(total),
            total,
            bytes: Vec::new(),
        };
        let wanted = parts.iter().filter(|part| part.end > from);
        for part in wanted {
            if chunk.bytes.is_empty() {
                chunk.from = from.max(part.start);
            } else if part.start != chunk.next {
                break;
            }
            let room = limit - chunk.bytes.len() as u64;
            let offset = (chunk.from + chunk.bytes.len() as u64).max(part.start) - part.start;
            if !self.append_part(part, offset, room, &mut chunk.bytes)? {
                return Ok(None);
            }
            chunk.next = chunk.from + chunk.bytes.len() as u64;
            if chunk.bytes.len() as u64 >= limit {
                break;
            }
        }
        Ok(Some(chunk))
    }

    fn append_part(
        &self,
        part: &Part,
        offset: u64,
        room: u64,
        bytes: &mut Vec<u8>,
    ) -> io::Result<bool> {
        let Some(mut file) = files::open_untrusted(self.path(), &part.name)? else {
            return Ok(false);
        };
        file.seek(SeekFrom::Start(offset))?;
        // What was written after the listing is read next time, so that it cannot overlap the next part.
        let length = (part.end - part.start - offset).min(room);
        file.take(length).read_to_end(bytes)?;
        Ok(true)
    }

    /// The parts that hold something, in order, without overlaps.
    pub(super) fn log_parts(&self) -> io::Result<Vec<Part>> {
        let entries = match fs::read_dir(self.log_dir()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut starts: Vec<u64> = entries
            .take(ENTRIES_LIMIT)
            .flatten()
            .filter_map(|entry| part_start(entry.file_name().to_str()?))
            .collect();
        starts.sort_unstable();
        let mut parts: Vec<Part> = Vec::new();
        for start in starts {
            let name = log_part_name(start);
            let Some(file) = files::open_untrusted(self.path(), &name)? else {
                continue;
            };
            let end = start.saturating_add(file.metadata()?.len());
            let after = parts.last().is_none_or(|last| last.end <= start);
            if end > start && after {
                parts.push(Part { name, start, end });
            }
        }
        Ok(parts)
    }
}

fn part_start(name: &str) -> Option<u64> {
    if name == "output.log" {
        return Some(0);
    }
    let digits = name.strip_prefix("output.")?.strip_suffix(".log")?;
    let start = digits.parse().ok().filter(|start| *start > 0)?;
    (digits.len() == 20).then_some(start)
}
