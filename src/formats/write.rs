//! From an export to the formats that a model wants, row by row.

use std::{
    fs::{self, File},
    io::{self, BufReader},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use serde::Serialize;

use super::{
    FormatError, Note, Notes,
    error::at,
    lines::Lines,
    numbers::{Numbering, ROW_LIMIT},
    targets::{Item, Targets},
};
use crate::{
    config::Format,
    dataset::{Ontology, Row, Split},
};

/// What is to be written, and of what.
#[derive(Debug, Clone, Copy)]
pub struct Write<'a> {
    /// The formats, each in a folder of its own name.
    pub formats: &'a [Format],
    /// The job's `data/`, with the splits of an export. Nobody else may have written there.
    pub data: &'a Path,
    /// What the rows are labelled with.
    pub ontology: &'a Ontology,
    /// The file that keeps the rows' numbers; its folder must be there.
    pub index: &'a Path,
    /// Looked at before each row: once it is true, writing ends with [`FormatError::Stopped`].
    pub stopped: &'a AtomicBool,
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Rows that were read.
    pub rows: u64,
    /// What could not be said, or not exactly.
    pub notes: Notes,
}

/// Writes the formats. When this returns, all of it is on disk.
///
/// # Errors
/// When a format is of another medium than the run's, when no row can be written, or none of those to learn from, when the
/// caller wishes it to stop, and as the file system says.
pub fn write(wanted: &Write<'_>) -> Result<Written, FormatError> {
    for format in Format::ALL {
        remove(&wanted.data.join(format.as_str()))?;
    }
    let mut targets = Targets::begin(wanted)?;
    let mut numbering = Numbering::begin(wanted.index).map_err(at(wanted.index))?;
    let mut written = Written::default();
    let mut all = Count::default();
    for split in Split::ALL {
        let count = write_split(wanted, split, &mut targets, &mut numbering, &mut written)?;
        if split == Split::Training {
            count.check("rows for training", &written.notes)?;
        }
        all.add(count);
    }
    all.check("rows", &written.notes)?;
    targets.finish(&mut written.notes)?;
    numbering.finish().map_err(at(wanted.index))?;
    settle(wanted.data)?;
    Ok(written)
}

fn write_split(
    wanted: &Write<'_>,
    split: Split,
    targets: &mut Targets<'_>,
    numbering: &mut Numbering,
    written: &mut Written,
) -> Result<Count, FormatError> {
    let path = wanted.data.join(split.file_name());
    let mut count = Count::default();
    let Some(file) = open(&path)? else {
        return Ok(count);
    };
    let mut lines = Lines::new(BufReader::new(file), ROW_LIMIT);
    while let Some(line) = lines.next().map_err(at(&path))? {
        if wanted.stopped.load(Ordering::Relaxed) {
            return Err(FormatError::Stopped);
        }
        if count.rows == 0 {
            targets.begin_split(split)?;
        }
        let number = numbering.next(split, line.offset);
        let number = number.map_err(at(wanted.index))?;
        count.rows += 1;
        match line.content.map(Row::read) {
            Some(Ok(row)) => {
                let is_in = targets.row(&Item::new(number, &row), &mut written.notes)?;
                count.kept += u64::from(is_in);
            }
            _ => {
                let place = format!("line {} of {}", line.number, split.file_name());
                written.notes.add(Note::UnreadableRow, &place);
            }
        }
    }
    written.rows += count.rows;
    if count.rows > 0 {
        targets.end_split()?;
    }
    Ok(count)
}

/// Rows that were read, and how many of them the formats have.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    rows: u64,
    kept: u64,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.kept += other.kept;
    }

    /// A training must not learn from nothing because nobody looked at what was left out.
    fn check(self, of: &'static str, notes: &Notes) -> Result<(), FormatError> {
        match self {
            Self { rows: 1.., kept: 0 } => Err(FormatError::NothingLeft {
                rows: self.rows,
                of,
                notes: notes.clone(),
            }),
            _ => Ok(()),
        }
    }
}

fn remove(folder: &Path) -> Result<(), FormatError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(at(folder)),
    }
}

/// None if there is no such file.
pub(super) fn open(path: &Path) -> Result<Option<File>, FormatError> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some).map_err(at(path)),
    }
}

/// Makes all that was written durable at once: a call for each of a million small files would take hours.
fn settle(data: &Path) -> Result<(), FormatError> {
    let folder = File::open(data).map_err(at(data))?;
    rustix::fs::syncfs(&folder).map_err(|error| at(data)(error.into()))
}
