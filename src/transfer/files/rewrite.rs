//! The split files anew, with the places of the rows' files, line by line.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::Path,
};

use sha2::{Digest, Sha256};

use super::{
    FilesError,
    journal::{Entries, Outcome},
    line::Line,
    missing::MissingList,
    names::hex,
};
use crate::{dataset::Split, job_dir::files::sync_dir};

/// A line that is longer is no row, in bytes.
const LINE_LIMIT: u64 = 256 << 20;

/// A split file as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// Which one.
    pub split: Split,
    /// One a line.
    pub rows: u64,
    /// Its length.
    pub bytes: u64,
    /// Of its content, in hexadecimal digits.
    pub sha256: String,
}

/// Calls `each` with every line of a split file and its number, from 1; a file that is not there has none.
pub(super) fn for_each_line(
    data_dir: &Path,
    split: Split,
    mut each: impl FnMut(&[u8], &Line<'_>) -> Result<(), FilesError>,
) -> Result<(), FilesError> {
    let file = match File::open(data_dir.join(split.file_name())) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let (mut reader, mut text) = (BufReader::with_capacity(1 << 18, file), Vec::new());
    let mut number = 0_u64;
    loop {
        text.clear();
        number += 1;
        let read = io::Read::take(&mut reader, LINE_LIMIT).read_until(b'\n', &mut text)?;
        let line = text.strip_suffix(b"\n").unwrap_or(&text);
        if read == 0 {
            return Ok(());
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let broken =
            |error| FilesError::Broken(format!("{}, line {number}: {error}", split.file_name()));
        let understood = Line::read(line).map_err(broken)?;
        each(line, &understood)?;
    }
}

/// Writes a split file anew, on disk when this returns. The entries are those of its rows' files, in order; what could
/// not be had is added to `missing`.
pub(super) fn rewrite(
    data_dir: &Path,
    drafts: &Path,
    split: Split,
    entries: &mut Entries,
    missing: &mut MissingList,
) -> Result<Rewritten, FilesError> {
    let path = data_dir.join(split.file_name());
    let draft = drafts.join(split.file_name());
    let mut writer = BufWriter::with_capacity(1 << 18, File::create(&draft)?);
    let (mut hash, mut rows, mut bytes) = (Sha256::new(), 0, 0);
    let (mut line, mut is_here) = (Vec::new(), Vec::new());
    for_each_line(data_dir, split, |_, understood| {
        is_here.clear();
        for wanted in understood.wanted() {
            let outcome = entries.next();
            is_here.push(matches!(outcome, Some(Outcome::Bytes(_))));
            if let Some(Outcome::Missing(reason)) = outcome {
                missing.add(&wanted.missing(reason))?;
            }
        }
        line.clear();
        understood.rewrite(&is_here, &mut line);
        line.push(b'\n');
        hash.update(&line);
        rows += 1;
        bytes += line.len() as u64;
        Ok(writer.write_all(&line)?)
    })?;
    let file = writer
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    match path.exists() {
        true => fs::rename(&draft, &path)?,
        false => fs::remove_file(&draft)?,
    }
    sync_dir(data_dir)?;
    Ok(Rewritten {
        split,
        rows,
        bytes,
        sha256: hex(&hash.finalize()),
    })
}
