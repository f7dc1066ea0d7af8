//! The rows of an export, findable by either of their names: `server/rows.index` of a job.
//!
//! Names are kept as hashes of 64 bits, and a row's number is its place among the hashes of the ids, which are in order:
//! a million rows fit into thirty megabytes.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    path::Path,
};

use sha2::{Digest, Sha256};

use super::{RowHead, Split};

/// Begins every index file; the digit is its version.
const MAGIC: &[u8; 8] = b"rowsidx1";

/// Bytes of one entry in the file.
const ENTRY: usize = 25;

/// Stands for a side in pixels that Labelbox does not know.
const UNKNOWN_SIDE: u32 = 0;

/// What is known of an exported row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedRow {
    /// A number that no other row of the export has: the same for both of its names.
    pub number: u32,
    /// The part of the data that it belongs to.
    pub split: Split,
    /// Width and height in pixels, where Labelbox knows both.
    pub size: Option<(u32, u32)>,
}

/// Rows by their names.
#[derive(Debug, Default)]
pub struct RowIndex {
    /// Hashes of the ids, in order.
    ids: Vec<u64>,
    /// Of each id's row.
    splits: Vec<Split>,
    /// Of each id's row.
    sides: Vec<(u32, u32)>,
    /// Hashes of the global keys that there are, in order.
    keys: Vec<u64>,
    /// Of each key's row.
    numbers: Vec<u32>,
}

/// A row as it stands in the file.
#[derive(Debug, Clone, Copy)]
struct Entry {
    split: Split,
    sides: (u32, u32),
    id: u64,
    key: Option<u64>,
}

impl Entry {
    fn bytes(&self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        let (width, height) = self.sides;
        // The lowest bits tell the split, the next one whether there is a global key.
        bytes[0] = self.split as u8 | (u8::from(self.key.is_some()) << 2);
        bytes[1..5].copy_from_slice(&width.to_le_bytes());
        bytes[5..9].copy_from_slice(&height.to_le_bytes());
        bytes[9..17].copy_from_slice(&self.id.to_le_bytes());
        bytes[17..].copy_from_slice(&self.key.unwrap_or_default().to_le_bytes());
        bytes
    }

    fn read(bytes: &[u8; ENTRY]) -> Option<Self> {
        let (flags, rest) = bytes.split_first()?;
        let (width, rest) = rest.split_first_chunk()?;
        let (height, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (key, _) = rest.split_first_chunk()?;
        Some(Self {
            split: *Split::ALL.get(usize::from(flags & 3))?,
            sides: (u32::from_le_bytes(*width), u32::from_le_bytes(*height)),
            id: u64::from_le_bytes(*id),
            key: (flags & 4 != 0).then_some(u64::from_le_bytes(*key)),
        })
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
        let entry = Entry {
            split,
            sides: row.size().map_or((UNKNOWN_SIDE, UNKNOWN_SIDE), whole),
            id,
            key: row.global_key().map(name_hash),
        };
        self.file.write_all(&entry.bytes())
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
        self.ids.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The row with this id of Labelbox's.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<IndexedRow> {
        self.row(place_of(name_hash(id), &self.ids)?)
    }

    /// The row with this global key.
    #[must_use]
    pub fn by_global_key(&self, key: &str) -> Option<IndexedRow> {
        let place = place_of(name_hash(key), &self.keys)?;
        self.row(*self.numbers.get(place)? as usize)
    }

    fn row(&self, place: usize) -> Option<IndexedRow> {
        let (width, height) = *self.sides.get(place)?;
        Some(IndexedRow {
            number: u32::try_from(place).ok()?,
            split: *self.splits.get(place)?,
            size: (width != UNKNOWN_SIDE && height != UNKNOWN_SIDE).then_some((width, height)),
        })
    }

    /// Opens an index that a [`RowIndexWriter`] has written.
    ///
    /// # Errors
    /// When the file cannot be read or is no index.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::read(BufReader::new(File::open(path)?))
    }

    /// The same, of what was written into `file`, which is read twice: first come the names, then what is known by them,
    /// so that nothing takes more room than it has in the end.
    ///
    /// # Errors
    /// When it cannot be read or is no index.
    pub fn read(mut file: impl Read + Seek) -> io::Result<Self> {
        let rows = rows_in(&mut file)?;
        let mut index = Self {
            ids: Vec::with_capacity(rows),
            keys: Vec::with_capacity(rows),
            ..Self::default()
        };
        each_entry(&mut file, |entry| {
            index.ids.push(entry.id);
            index.keys.extend(entry.key);
        })?;
        index.ids.sort_unstable();
        index.keys.sort_unstable();
        index.splits = vec![Split::Unassigned; index.ids.len()];
        index.sides = vec![(UNKNOWN_SIDE, UNKNOWN_SIDE); index.ids.len()];
        index.numbers = vec![0; index.keys.len()];
        each_entry(&mut file, |entry| index.learn(entry))?;
        Ok(index)
    }

    fn learn(&mut self, entry: Entry) {
        let Some(place) = place_of(entry.id, &self.ids) else {
            return;
        };
        if let (Some(split), Some(sides)) = (self.splits.get_mut(place), self.sides.get_mut(place))
        {
            (*split, *sides) = (entry.split, entry.sides);
        }
        let number = entry.key.and_then(|key| place_of(key, &self.keys));
        if let Some(number) = number.and_then(|place| self.numbers.get_mut(place)) {
            *number = u32::try_from(place).unwrap_or(u32::MAX);
        }
    }
}

/// The first place of a hash among others, which are in order.
fn place_of(hash: u64, sorted: &[u64]) -> Option<usize> {
    let place = sorted.partition_point(|other| *other < hash);
    (sorted.get(place) == Some(&hash)).then_some(place)
}

/// How many rows an index holds, by its length.
fn rows_in(file: &mut impl Seek) -> io::Result<usize> {
    let bytes = file.seek(SeekFrom::End(0))?;
    let rows = bytes.saturating_sub(index_length(0)) / ENTRY as u64;
    match u32::try_from(rows) {
        Ok(rows) => Ok(rows as usize),
        Err(_) => Err(damaged()),
    }
}

/// Reads an index from its beginning to its end.
fn each_entry(file: &mut (impl Read + Seek), mut use_it: impl FnMut(Entry)) -> io::Result<()> {
    file.rewind()?;
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic)?;
    if &magic != MAGIC {
        return Err(damaged());
    }
    let mut bytes = [0; ENTRY];
    while read_whole(file, &mut bytes)? {
        use_it(Entry::read(&bytes).ok_or_else(damaged)?);
    }
    Ok(())
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the index of rows is damaged")
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
