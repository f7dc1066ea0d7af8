//! Lines into the files of their splits, byte for byte as they came, in a thread of its own.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{
    classes::SeenClasses,
    output::open_index,
    record::{INDEX_FILE, Record},
    splits::Splits,
    writer::Writer,
};
use crate::{
    dataset::{Ontology, RowHead, RowIndexWriter, Split, name_hash},
    job_dir::{JobDir, files},
    meters::ExportMeters,
};

/// A longer line is no row, in bytes.
const LINE_LIMIT: usize = 64 << 20;

/// Progress is noted after so many bytes, and at the end of a piece.
const UNNOTED_LIMIT: u64 = 16 << 20;

/// It is noted no sooner than this after the last time.
const NOTE_INTERVAL: Duration = Duration::from_millis(20);

/// It is made durable no sooner than this after the last time, nor as often as to take more than one part in so many
/// of the time.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
const SAVING_SHARE: u32 = 20;

/// What the sorter is told.
#[derive(Debug)]
pub(super) enum Message {
    /// The next bytes of the result.
    Bytes(Bytes),
    /// A piece is complete: a good moment to note progress.
    PieceEnd,
    /// There is nothing more.
    End,
}

/// Why lines cannot be sorted.
#[derive(Debug, thiserror::Error)]
pub(super) enum SortError {
    /// The files cannot be written.
    #[error(transparent)]
    Disk(#[from] io::Error),
    /// A line is no exported row.
    #[error("line {number} of the export is no data row: {text}")]
    Line { number: u64, text: String },
}

/// What it needs to know of an export.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) dir: JobDir,
    pub(super) task: String,
    pub(super) splits: Splits,
    /// Given where somebody wants to know which of its classes are labelled.
    pub(super) ontology: Option<Ontology>,
    pub(super) meters: Arc<ExportMeters>,
}

/// Sorts the rows of one export.
#[derive(Debug)]
pub(super) struct Sorter {
    dir: JobDir,
    record: Record,
    splits: Splits,
    classes: Option<SeenClasses>,
    meters: Arc<ExportMeters>,
    writer: Writer,
    index: RowIndexWriter<BufWriter<File>>,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
    noted_at: Instant,
    unnoted: u64,
    saved_at: Instant,
    saving_took: Duration,
}

impl Sorter {
    /// Goes on where the record says that this task's rows are; at the beginning if it says nothing of them.
    pub(super) fn open(setting: Setting) -> io::Result<Self> {
        let Setting {
            dir,
            task,
            splits,
            ontology,
            meters,
        } = setting;
        let mut record = Record::read_from(&dir)?;
        let counted = ontology.is_none() || record.classes.is_some();
        if record.task != task || !record.is_there(&dir) || !counted {
            record = record.restarted(&task);
            record.write_to(&dir)?;
        }
        let writer = Writer::open(&dir, &record.files)?;
        let index = open_index(&dir.server().join(INDEX_FILE), record.rows())?;
        let labelled = record.classes.clone().unwrap_or_default();
        let classes = ontology.map(|known| SeenClasses::new(known, labelled));
        Ok(Self {
            dir,
            splits,
            classes,
            meters,
            writer,
            index,
            rest: Vec::new(),
            record,
            noted_at: Instant::now(),
            unnoted: 0,
            saved_at: Instant::now(),
            saving_took: Duration::ZERO,
        })
    }

    /// How far it is.
    pub(super) const fn record(&self) -> &Record {
        &self.record
    }

    /// Sorts what comes until the end; none if the end is never told, and then what came is kept for another time.
    pub(super) fn run(
        mut self,
        mut messages: mpsc::Receiver<Message>,
    ) -> Result<Option<Record>, SortError> {
        while let Some(message) = messages.blocking_recv() {
            match message {
                Message::Bytes(bytes) => self.take(&bytes)?,
                Message::PieceEnd if self.noted_at.elapsed() < NOTE_INTERVAL => {}
                Message::PieceEnd => self.note()?,
                Message::End => return self.finish().map(Some),
            }
        }
        self.save()?;
        Ok(None)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), SortError> {
        let rows_before = self.record.rows();
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let line = &bytes[from..=end];
            from = end + 1;
            if self.rest.is_empty() {
                self.line(line)?;
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                whole.extend_from_slice(line);
                self.line(&whole)?;
                whole.clear();
                self.rest = whole;
            }
        }
        self.rest.extend_from_slice(&bytes[from..]);
        if self.rest.len() > LINE_LIMIT {
            return Err(self.no_row(format!("it is longer than {LINE_LIMIT} bytes")));
        }
        self.meters
            .add(self.record.rows() - rows_before, bytes.len() as u64);
        self.unnoted += bytes.len() as u64;
        if self.unnoted >= UNNOTED_LIMIT {
            self.note()?;
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), SortError> {
        self.record.read += line.len() as u64;
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let head = RowHead::read(line).map_err(|error| self.no_row(error.to_string()))?;
        let id = name_hash(head.id());
        let split = self.splits.of(id).unwrap_or(Split::Unassigned);
        if let Some(classes) = &mut self.classes {
            let seen = classes.take(line, split);
            seen.map_err(|error| self.no_row(error.to_string()))?;
        }
        self.index.add(&head, id, split)?;
        let part = &mut self.record.files[split as usize];
        part.rows += 1;
        part.bytes += self.writer.put(split, line)?;
        Ok(())
    }

    fn no_row(&self, text: String) -> SortError {
        let number = self.record.rows() + 1;
        SortError::Line { number, text }
    }

    /// Notes what came so far, up to the end of the last whole line, and makes it durable from time to time.
    fn note(&mut self) -> io::Result<()> {
        let rest = SAVE_INTERVAL.max(self.saving_took * SAVING_SHARE);
        if self.saved_at.elapsed() >= rest {
            return self.save();
        }
        self.index.file().flush()?;
        self.take_note();
        self.writer.note(self.record.clone())
    }

    fn save(&mut self) -> io::Result<()> {
        let begun = Instant::now();
        self.writer.sync()?;
        self.index.file().flush()?;
        self.index.file().get_ref().sync_data()?;
        self.take_note();
        self.record.write_to(&self.dir)?;
        self.saved_at = Instant::now();
        self.saving_took = begun.elapsed();
        Ok(())
    }

    fn take_note(&mut self) {
        if let Some(classes) = &self.classes {
            self.record.classes = Some(classes.labelled.clone());
        }
        self.noted_at = Instant::now();
        self.unnoted = 0;
    }

    fn finish(mut self) -> Result<Record, SortError> {
        if !self.rest.is_empty() {
            // The last line may come without its end.
            let line = std::mem::take(&mut self.rest);
            self.line(&line)?;
            self.meters.add(1, 0);
        }
        let digests = self.writer.digests()?;
        for (part, digest) in self.record.files.iter_mut().zip(digests) {
            part.sha256 = digest;
        }
        self.record.complete = true;
        self.save()?;
        files::sync_dir(&self.dir.data())?;
        Ok(self.record)
    }
}
