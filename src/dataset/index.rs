//! The rows of an export, findable by either of their names: `server/rows.index` of a job.
//!
//! Names are kept as hashes of 64 bits, so that a million rows fit into some ten megabytes.

use std::{
    io::{self, Read, Write},
    path::Path,
};

use sha2::{Digest, Sha256};

use super::{Row, RowHead, Split};

/// Begins every index file; the digit is its version.
const MAGIC: &[u8; 8] = b"rowsidx1";

/// Bytes of one entry in the file.
const ENTRY: usize = 25;

/// Stands for a side in pixels that Labelbox does not know.
const UNKNOWN_SIDE: u32 = 0;

/// What is known of an exported row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedRow {
    /// Its number among the exported rows, from 0: the same for both of its names.
    pub number: u32,
    /// The part of the data that it belongs to.
    pub split: Split,
    /// Width and height in pixels, where Labelbox knows both.
    pub size: Option<(u32, u32)>,
}

/// Rows by their names.
#[derive(Debug, Default)]
pub struct RowIndex {
    rows: Vec<Entry>,
    /// Hash of the id and number of each row, in order.
    by_id: Vec<(u64, u32)>,
    /// Hash of the global key and number of each row that has one, in order.
    by_key: Vec<(u64, u32)>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    split: Split,
    width: u32,
    height: u32,
}

/// Collects rows for an index.
#[derive(Debug, Default)]
pub struct RowIndexBuilder {
    index: RowIndex,
}

impl RowIndexBuilder {
    /// Takes in the next row.
    pub fn add(&mut self, row: &Row, split: Split) {
        let index = &mut self.index;
        let number = u32::try_from(index.rows.len()).unwrap_or(u32::MAX);
        index.rows.push(Entry::new(split, row.size()));
        index.by_id.push((name_hash(&row.data_row.id), number));
        if let Some(key) = &row.data_row.global_key {
            index.by_key.push((name_hash(key), number));
        }
    }

    /// The index of all rows so far.
    #[must_use]
    pub fn finish(self) -> RowIndex {
        self.index.sorted()
    }
}

impl Entry {
    fn new(split: Split, size: Option<(f64, f64)>) -> Self {
        let (width, height) = size.map_or((UNKNOWN_SIDE, UNKNOWN_SIDE), whole);
        Self {
            split,
            width,
            height,
        }
    }

    fn bytes(&self, id: u64, key: Option<u64>) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        // The lowest bits tell the split, the next one whether there is a global key.
        bytes[0] = self.split as u8 | (u8::from(key.is_some()) << 2);
        bytes[1..5].copy_from_slice(&self.width.to_le_bytes());
        bytes[5..9].copy_from_slice(&self.height.to_le_bytes());
        bytes[9..17].copy_from_slice(&id.to_le_bytes());
        bytes[17..].copy_from_slice(&key.unwrap_or_default().to_le_bytes());
        bytes
    }
}

/// An index that is written row by row, in no memory at all.
#[derive(Debug)]
pub struct RowIndexWriter<W> {
    file: W,
}

impl<W: Write> RowIndexWriter<W> {
    /// Begins an index in an empty file.
    ///
    /// # Errors
    /// As the writer says.
    pub fn begin(mut file: W) -> io::Result<Self> {
        file.write_all(MAGIC)?;
        Ok(Self { file })
    }

    /// Goes on with an index, whose file holds the [`index_length`] of so many rows and is written at its end.
    pub const fn go_on(file: W) -> Self {
        Self { file }
    }

    /// Takes in the next row, by the hash of its id.
    ///
    /// # Errors
    /// As the writer says.
    pub fn add(&mut self, row: &RowHead<'_>, id: u64, split: Split) -> io::Result<()> {
        let key = row.global_key().map(name_hash);
        self.file
            .write_all(&Entry::new(split, row.size()).bytes(id, key))
    }

    /// The file, as far as it is written.
    pub const fn file(&mut self) -> &mut W {
        &mut self.file
    }
}

/// How long the index of so many rows is, in bytes.
#[must_use]
pub const fn index_length(rows: u64) -> u64 {
    (MAGIC.len() as u64).saturating_add((ENTRY as u64).saturating_mul(rows))
}

impl RowIndex {
    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row with this id of Labelbox's.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<IndexedRow> {
        self.find(&self.by_id, id)
    }

    /// The row with this global key.
    #[must_use]
    pub fn by_global_key(&self, key: &str) -> Option<IndexedRow> {
        self.find(&self.by_key, key)
    }

    fn find(&self, names: &[(u64, u32)], name: &str) -> Option<IndexedRow> {
        let wanted = name_hash(name);
        let at = names
            .binary_search_by_key(&wanted, |(hash, _)| *hash)
            .ok()?;
        let (_, number) = names.get(at)?;
        let entry = self.rows.get(*number as usize)?;
        let known = entry.width != UNKNOWN_SIDE && entry.height != UNKNOWN_SIDE;
        Some(IndexedRow {
            number: *number,
            split: entry.split,
            size: known.then_some((entry.width, entry.height)),
        })
    }

    fn sorted(mut self) -> Self {
        self.by_id.sort_unstable();
        self.by_key.sort_unstable();
        self
    }

    /// Writes the index to `file`; to make it durable is the caller's part.
    ///
    /// # Errors
    /// As the writer says.
    pub fn write(&self, mut file: impl Write) -> io::Result<()> {
        let mut ids = vec![0; self.rows.len()];
        let mut keys = vec![None; self.rows.len()];
        for (hash, number) in &self.by_id {
            ids[*number as usize] = *hash;
        }
        for (hash, number) in &self.by_key {
            keys[*number as usize] = Some(*hash);
        }
        file.write_all(MAGIC)?;
        for ((entry, id), key) in self.rows.iter().zip(ids).zip(keys) {
            file.write_all(&entry.bytes(id, key))?;
        }
        file.flush()
    }

    /// Reads an index that [`RowIndex::write`] has written.
    ///
    /// # Errors
    /// When the file cannot be read or is no index.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = io::BufReader::new(std::fs::File::open(path)?);
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the index of rows is damaged");
        let mut magic = [0; MAGIC.len()];
        file.read_exact(&mut magic)?;
        if &magic != MAGIC {
            return Err(damaged());
        }
        let mut index = Self::default();
        let mut entry = [0; ENTRY];
        while read_whole(&mut file, &mut entry)? {
            index.take(&entry).ok_or_else(damaged)?;
        }
        Ok(index.sorted())
    }

    fn take(&mut self, bytes: &[u8; ENTRY]) -> Option<()> {
        let (flags, rest) = bytes.split_first()?;
        let (width, rest) = rest.split_first_chunk()?;
        let (height, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (key, _) = rest.split_first_chunk()?;
        let number = u32::try_from(self.rows.len()).ok()?;
        self.rows.push(Entry {
            split: *Split::ALL.get(usize::from(flags & 3))?,
            width: u32::from_le_bytes(*width),
            height: u32::from_le_bytes(*height),
        });
        self.by_id.push((u64::from_le_bytes(*id), number));
        if flags & 4 != 0 {
            self.by_key.push((u64::from_le_bytes(*key), number));
        }
        Some(())
    }
}

/// False at the end of the file.
fn read_whole(file: &mut impl Read, entry: &mut [u8; ENTRY]) -> io::Result<bool> {
    let first = file.read(&mut entry[..1])?;
    if first == 0 {
        return Ok(false);
    }
    file.read_exact(&mut entry[1..])?;
    Ok(true)
}

/// What stands for an id or a global key where there are millions of them.
#[must_use]
pub fn name_hash(name: &str) -> u64 {
    let digest = Sha256::digest(name.as_bytes());
    let first = digest.first_chunk().copied().unwrap_or_default();
    u64::from_le_bytes(first)
}

/// Sides as whole pixels, which they always are.
fn whole((width, height): (f64, f64)) -> (u32, u32) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and no image is that large"
    )]
    let side = |side: f64| side.round() as u32;
    (side(width), side(height))
}
