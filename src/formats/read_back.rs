//! From results that trainings leave to lines of Labelbox's import form.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    FormatError, Note, Notes, ORIGIN, REFUSED, Size, classes::Regions, coco, error::at,
    image::size_of, numbers::NumberedRows, prediction::Predicted, shape::Shape, yolo,
};
use crate::{
    dataset::Ontology,
    job_dir::files::{open_untrusted, sync_dir},
};

/// Whose results are read, and into what.
#[derive(Debug, Clone, Copy)]
pub struct ReadBack<'a> {
    /// The attempt's `out/`, which is not trusted: `coco_results.json` and `yolo/labels/` are looked for.
    pub out: &'a Path,
    /// The job's `data/`.
    pub data: &'a Path,
    /// The file in which [`write()`](super::write()) has numbered the rows.
    pub index: &'a Path,
    /// What the rows are labelled with: the same as when the formats were written.
    pub ontology: &'a Ontology,
    /// The file that is made or replaced. Its folder must be there.
    pub sink: &'a Path,
    /// The sink grows no longer than this, in bytes.
    pub most_bytes: u64,
    /// Looked at before each result: once it is true, reading ends with [`FormatError::Stopped`].
    pub stopped: &'a AtomicBool,
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Files with results that were there. None: the sink was made nevertheless, and is empty.
    pub files: u64,
    /// Lines with predictions in the sink.
    pub predictions: u64,
    /// Lines in the sink that say why something is no prediction.
    pub refused: u64,
    /// What became another shape than it was.
    pub notes: Notes,
}

/// Turns COCO results and YOLO's label files into lines of Labelbox's import form, each with its [`ORIGIN`]. What is no
/// prediction becomes a line with [`REFUSED`], so that nothing is lost without a word. The file is on disk when this
/// returns; called again, it is made anew.
///
/// # Errors
/// When a file with results breaks off or cannot be read, when there is more than the sink may hold, when the caller wishes it to stop, and as the file system says.
pub fn read_back(wanted: &ReadBack<'_>) -> Result<Summary, FormatError> {
    let read = read_all(Sink::begin(wanted)?);
    if read.is_err() {
        // What is left of it takes room for nothing; the next try replaces it anyway.
        let _ = fs::remove_file(draft_of(wanted.sink));
    }
    read
}

fn read_all(mut sink: Sink<'_>) -> Result<Summary, FormatError> {
    let out = sink.wanted.out;
    coco::read_results(out, &mut sink)?;
    yolo::read_labels(out, &mut sink)?;
    sink.finish()
}

fn draft_of(sink: &Path) -> PathBuf {
    sink.with_extension("draft")
}

/// What takes in results.
pub(super) struct Sink<'a> {
    wanted: &'a ReadBack<'a>,
    draft: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
    rows: Option<NumberedRows>,
    regions: Regions,
    summary: Summary,
}

/// A row that results are about.
#[derive(Debug, Clone)]
pub(super) struct Target {
    id: String,
    pub(super) size: Option<Size>,
}

impl<'a> Sink<'a> {
    fn begin(wanted: &'a ReadBack<'a>) -> Result<Self, FormatError> {
        let draft = draft_of(wanted.sink);
        let rows = NumberedRows::open(wanted.index, wanted.data).map_err(at(wanted.index))?;
        Ok(Self {
            file: BufWriter::new(File::create(&draft).map_err(at(&draft))?),
            bytes: 0,
            regions: Regions::of(wanted.ontology),
            summary: Summary::default(),
            wanted,
            draft,
            rows,
        })
    }

    /// Notes that there is another file with results.
    pub(super) fn begin_file(&mut self) {
        self.summary.files += 1;
    }

    pub(super) fn check_stopped(&self) -> Result<(), FormatError> {
        if self.wanted.stopped.load(Ordering::Relaxed) {
            Err(FormatError::Stopped)
        } else {
            Ok(())
        }
    }

    pub(super) fn regions(&self) -> &Regions {
        &self.regions
    }

    /// The row of an image; none if no image has that number.
    pub(super) fn target(&mut self, number: u64) -> Result<Option<Target>, FormatError> {
        let Some(rows) = &mut self.rows else {
            return Ok(None);
        };
        let open = |path: &str| open_untrusted(self.wanted.data, path).ok().flatten();
        let row = rows.find(number).map_err(at(self.wanted.index))?;
        Ok(row.map(|row| Target {
            id: row.data_row.id.clone(),
            size: size_of(row, &open),
        }))
    }

    /// Takes in a shape of the class with that number, from 0.
    pub(super) fn predict(
        &mut self,
        origin: &str,
        target: &Target,
        (class, shape): (usize, Shape),
        confidence: Option<f64>,
    ) -> Result<(), FormatError> {
        let Some(class) = self.regions.get(class) else {
            return self.refuse(origin, "its class is none of the ontology's");
        };
        let predicted = Predicted {
            id: &target.id,
            class,
            shape,
            size: target.size,
            confidence,
        };
        match predicted.lines() {
            Err(reason) => self.refuse(origin, &reason),
            Ok((lines, note)) => {
                if let Some(note) = note {
                    self.summary.notes.add(note, origin);
                }
                lines
                    .into_iter()
                    .try_for_each(|line| self.push(line, origin))
            }
        }
    }

    fn push(&mut self, mut line: Map<String, Value>, origin: &str) -> Result<(), FormatError> {
        line.insert(ORIGIN.to_owned(), origin.into());
        self.summary.predictions += 1;
        self.write(&line)
    }

    /// Leaves something out that is no prediction, and no mistake either.
    pub(super) fn note(&mut self, note: Note, origin: &str) {
        self.summary.notes.add(note, origin);
    }

    pub(super) fn refuse(&mut self, origin: &str, reason: &str) -> Result<(), FormatError> {
        let mut line = Map::new();
        line.insert(ORIGIN.to_owned(), origin.into());
        line.insert(REFUSED.to_owned(), reason.into());
        self.summary.refused += 1;
        self.write(&line)
    }

    fn write(&mut self, line: &Map<String, Value>) -> Result<(), FormatError> {
        let text = serde_json::to_vec(line).map_err(std::io::Error::from);
        let mut text = text.map_err(at(&self.draft))?;
        text.push(b'\n');
        self.bytes += text.len() as u64;
        if self.bytes > self.wanted.most_bytes {
            let most = self.wanted.most_bytes;
            return Err(FormatError::TooMuch { most });
        }
        self.file.write_all(&text).map_err(at(&self.draft))
    }

    fn finish(mut self) -> Result<Summary, FormatError> {
        self.file.flush().map_err(at(&self.draft))?;
        self.file.get_ref().sync_all().map_err(at(&self.draft))?;
        fs::rename(&self.draft, self.wanted.sink).map_err(at(self.wanted.sink))?;
        if let Some(folder) = self.wanted.sink.parent() {
            sync_dir(folder).map_err(at(folder))?;
        }
        Ok(self.summary)
    }
}
