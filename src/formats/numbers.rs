//! Rows by their numbers: which line of which split each of them is.
//!
//! Formats know images by numbers, results name them by these, and a million of them must not be held in memory. So a
//! file has 8 bytes for each row, in the order of their numbers: two bits for its split, the others for the place of
//! its line in the file of that split.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::{
    dataset::{Row, Split},
    job_dir::files::open_untrusted,
};

/// The longest line of an export that is read, in bytes.
pub(super) const ROW_LIMIT: usize = 64 << 20;

/// Bytes of one entry.
const ENTRY: u64 = 8;

/// Bits of an entry that tell the place.
const PLACE: u32 = 62;

/// Numbers rows in the order in which they come, from 1.
#[derive(Debug)]
pub(super) struct Numbering {
    path: PathBuf,
    draft: PathBuf,
    file: BufWriter<File>,
    last: u64,
}

impl Numbering {
    pub(super) fn begin(path: &Path) -> io::Result<Self> {
        let draft = path.with_extension("draft");
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(File::create(&draft)?),
            draft,
            last: 0,
        })
    }

    /// The number of the row whose line begins there.
    pub(super) fn next(&mut self, split: Split, offset: u64) -> io::Result<u64> {
        let entry = (split as u64) << PLACE | offset;
        self.file.write_all(&entry.to_le_bytes())?;
        self.last += 1;
        Ok(self.last)
    }

    pub(super) fn finish(self) -> io::Result<()> {
        let file = self
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(self.draft, self.path)
    }
}

/// Finds rows by their numbers.
#[derive(Debug)]
pub(super) struct NumberedRows {
    index: File,
    splits: [Option<BufReader<File>>; 4],
    last: Option<(u64, Row)>,
}

impl NumberedRows {
    /// Rows of the data folder `data`, numbered in `index`; none if nothing was numbered there.
    pub(super) fn open(index: &Path, data: &Path) -> io::Result<Option<Self>> {
        let index = match File::open(index) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut splits = [const { None }; 4];
        for (split, file) in Split::ALL.into_iter().zip(&mut splits) {
            *file = open_untrusted(data, split.file_name())?.map(BufReader::new);
        }
        Ok(Some(Self {
            index,
            splits,
            last: None,
        }))
    }

    /// The row with that number; none if there is no such row.
    pub(super) fn find(&mut self, number: u64) -> io::Result<Option<&Row>> {
        if self.last.as_ref().is_none_or(|(last, _)| *last != number) {
            self.last = self.read(number)?.map(|row| (number, row));
        }
        Ok(self.last.as_ref().map(|(_, row)| row))
    }

    fn read(&mut self, number: u64) -> io::Result<Option<Row>> {
        let place = number.checked_sub(1).and_then(|at| at.checked_mul(ENTRY));
        let Some(place) = place.filter(|place| i64::try_from(*place).is_ok()) else {
            return Ok(None);
        };
        self.index.seek(SeekFrom::Start(place))?;
        let mut entry = [0; ENTRY as usize];
        match self.index.read_exact(&mut entry) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let entry = u64::from_le_bytes(entry);
        let (split, offset) = ((entry >> PLACE) as usize, entry & !(3 << PLACE));
        let Some(Some(file)) = self.splits.get_mut(split) else {
            return Ok(None);
        };
        file.seek(SeekFrom::Start(offset))?;
        let mut line = Vec::new();
        file.take(ROW_LIMIT as u64).read_until(b'\n', &mut line)?;
        Ok(Row::read(&line).ok())
    }
}
