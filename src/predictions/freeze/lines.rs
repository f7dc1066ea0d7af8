//! The lines between the two passes, in a file of our own: each is checked, none is held against the others yet.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, Write},
    path::Path,
};

use uuid::Uuid;

use crate::predictions::ledger::nameless;

/// What is read or written at once, in bytes.
const BUFFER: usize = 64 * 1024;

/// Bytes before each line's text: mark, number, uuid, length.
const HEAD: usize = 1 + 4 + 16 + 4;

/// What is known of a line before it was held against the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// It brought a uuid along.
    OwnUuid = 0,
    /// It gets one.
    NoUuid = 1,
    /// It needs none.
    Metric = 2,
    /// It is not sent; its text is a [`Problem`].
    Rejected = 3,
}

impl Mark {
    const ALL: [Self; 4] = [Self::OwnUuid, Self::NoUuid, Self::Metric, Self::Rejected];
}

/// What stands before a line's text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) mark: Mark,
    pub(super) number: u32,
    /// Its own, or the one that it gets if no line before it has the same content; nil where it needs none.
    pub(super) uuid: Uuid,
}

/// Lines as they come from the first pass.
#[derive(Debug)]
pub(super) struct WrittenLines {
    file: BufWriter<File>,
    count: u32,
}

/// The same lines on their way into the second one.
#[derive(Debug)]
pub(super) struct ReadLines {
    file: BufReader<File>,
    left: u32,
}

impl WrittenLines {
    /// In a file that has no name and is gone with us.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let file = nameless(folder, "checked")?;
        Ok(Self {
            file: BufWriter::with_capacity(BUFFER, file),
            count: 0,
        })
    }

    pub(super) fn add(&mut self, head: Head, text: &[u8]) -> io::Result<()> {
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        self.count += 1;
        self.file.write_all(&[head.mark as u8])?;
        self.file.write_all(&head.number.to_le_bytes())?;
        self.file.write_all(head.uuid.as_bytes())?;
        self.file.write_all(&length.to_le_bytes())?;
        self.file.write_all(text)
    }

    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// All of them, from the first one on.
    pub(super) fn read(self) -> io::Result<ReadLines> {
        let file = self.file.into_inner();
        let mut file = file.map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(ReadLines {
            file: BufReader::with_capacity(BUFFER, file),
            left: self.count,
        })
    }
}

impl ReadLines {
    /// The next line, whose text takes the place of what is in `text`.
    pub(super) fn next(&mut self, text: &mut Vec<u8>) -> io::Result<Option<Head>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let damaged = || io::Error::from(io::ErrorKind::InvalidData);
        let mut head = [0; HEAD];
        self.file.read_exact(&mut head)?;
        let (mark, rest) = head.split_first().ok_or_else(damaged)?;
        let (number, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let (uuid, length) = rest.split_first_chunk::<16>().ok_or_else(damaged)?;
        let length = length.first_chunk::<4>().ok_or_else(damaged)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(io::Error::other)?;
        text.clear();
        text.resize(length, 0);
        self.file.read_exact(text)?;
        Ok(Some(Head {
            mark: *Mark::ALL.get(usize::from(*mark)).ok_or_else(damaged)?,
            number: u32::from_le_bytes(*number),
            uuid: Uuid::from_bytes(*uuid),
        }))
    }
}
