//! From a command's file to chunks that can be sent: each line is read once, and counted against all others.

mod draft;
mod lines;
mod reading;
mod uuids;
mod writing;

use std::{
    io::{self, BufRead},
    path::Path,
};

use super::{
    MOST_LINES, READ_BACK, Rejection,
    check::{Checked, Checker},
};
use crate::{formats, job::JobId};
pub use draft::Draft;
use reading::Reading;
use writing::Writing;

/// Why predictions could not be frozen; nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    /// A file cannot be read or written: later it may be.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// There are more than anybody would want to send.
    #[error("there are more than {MOST_LINES} predictions")]
    TooMany,
}

/// Where predictions come from.
#[derive(Debug)]
pub struct Sources<W, R> {
    /// Lines as the command wrote them.
    pub written: W,
    /// Lines that [`formats::read_back`] made of results in another form, each with its origin.
    pub read_back: R,
}

impl<W> Sources<W, io::Empty> {
    /// The command's own lines alone.
    pub fn written(written: W) -> Self {
        let read_back = io::empty();
        Self { written, read_back }
    }
}

/// Checks all lines of the sources and freezes those that may be sent in the job's `server` folder, in chunks of at most
/// `most_lines`. What is rejected is listed there, whatever becomes of the rest.
///
/// # Errors
/// See [`FreezeError`].
pub fn freeze(
    sources: Sources<impl BufRead, impl BufRead>,
    checker: &mut Checker<'_>,
    job: JobId,
    (server, most_lines): (&Path, u32),
) -> Result<Draft, FreezeError> {
    let folder = Draft::folder(server)?;
    let mut reading = Reading::begin(&folder, job)?;
    reading.read_all(sources.written, 0, |line, out| checker.check(line, out))?;
    reading.read_all(sources.read_back, READ_BACK, |line, out| {
        check_read_back(line, checker, out)
    })?;
    let (lines, findings, reasons) = reading.finish()?;
    let writing = Writing::begin((server, &folder), most_lines, job, (findings, reasons))?;
    let frozen = writing.write_all(lines)?;
    Ok(Draft::new(frozen, folder, server))
}

/// Checks a line that was made of a result; a rejection says where that stood.
fn check_read_back(
    line: &[u8],
    checker: &mut Checker<'_>,
    out: &mut Vec<u8>,
) -> Result<Checked, Rejection> {
    let mut line: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(line).map_err(|error| Rejection::new(error.to_string()))?;
    let origin = formats::take_origin(&mut line);
    let place = origin.as_ref().map_or("", |origin| origin.place.as_str());
    let located = |reason: &str| Rejection::new(format!("{place}: {reason}"));
    if let Some(reason) = origin.as_ref().and_then(|origin| origin.refused.as_deref()) {
        return Err(located(reason));
    }
    let line = serde_json::to_vec(&line).map_err(|error| located(&error.to_string()))?;
    let checked = checker.check(&line, out);
    checked.map_err(|rejection| located(&rejection.to_string()))
}
