//! From a command's file to chunks that can be sent: each line is read once, and counted against all others.

use std::{
    cmp::Reverse,
    fs,
    io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write},
    path::{Path, PathBuf},
};

use sha1::{Digest, Sha1};
use uuid::Uuid;

use super::{
    LINE_LIMIT, MOST_LINES, MOST_METRICS, MOST_PER_FEATURE, READ_BACK,
    check::{Checked, Checker},
    chunks::Chunks,
    frozen::{Frozen, MOST_LISTED, Origin, Problem, RejectedFile},
    ledger::{Findings, Kind, Ledger, nameless},
    line::Rejection,
};
use crate::{formats, job::JobId, job_dir::files};

/// The first rejections, each for another reason, are kept for a sentence.
const FIRST: usize = 5;

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

/// Frozen predictions that are not yet where a restart finds them.
#[derive(Debug)]
pub struct Draft {
    /// What was frozen.
    pub frozen: Frozen,
    folder: PathBuf,
    server: PathBuf,
}

impl Draft {
    /// An empty folder for what is to be frozen in the job's `server` folder; what an earlier try left there is gone.
    pub(super) fn folder(server: &Path) -> io::Result<PathBuf> {
        let folder = server.join("upload.new");
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir(&folder)?,
        }
        Ok(folder)
    }

    pub(super) fn new(frozen: Frozen, folder: PathBuf, server: &Path) -> Self {
        Self {
            frozen,
            folder,
            server: server.to_owned(),
        }
    }

    /// Puts them in their place, durably: from here on they are what is sent, whatever happens. Only where nothing is
    /// frozen yet.
    ///
    /// # Errors
    /// As the file system says.
    pub fn keep(self) -> io::Result<Frozen> {
        self.frozen.write(&self.folder)?;
        let place = Frozen::folder(&self.server);
        match fs::remove_dir_all(&place) {
            // The rest of one whose removal was interrupted.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::rename(&self.folder, place)?,
        }
        files::sync_dir(&self.server)?;
        Ok(self.frozen)
    }

    /// Removes them; the list of what was rejected stays.
    ///
    /// # Errors
    /// As the file system says.
    pub fn discard(self) -> io::Result<Frozen> {
        fs::remove_dir_all(&self.folder)?;
        Ok(self.frozen)
    }
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
    let frozen = reading.write_chunks(server, &folder, most_lines)?;
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

/// What is known of a line before it was held against the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
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

/// Bytes before each line's text: mark, number, uuid, length.
const HEAD: usize = 1 + 4 + 16 + 4;

/// All lines, checked one by one, in a file of our own.
struct Reading {
    checked: BufWriter<fs::File>,
    ledger: Ledger,
    job: String,
    lines: u32,
    rejected: u64,
}

impl Reading {
    fn begin(folder: &Path, job: JobId) -> io::Result<Self> {
        Ok(Self {
            checked: BufWriter::with_capacity(64 * 1024, nameless(folder, "checked")?),
            ledger: Ledger::create(folder)?,
            job: job.to_string(),
            lines: 0,
            rejected: 0,
        })
    }

    fn read_all(
        &mut self,
        source: impl BufRead,
        first: u32,
        mut check: impl FnMut(&[u8], &mut Vec<u8>) -> Result<Checked, Rejection>,
    ) -> Result<(), FreezeError> {
        let mut lines = super::lines::Lines::of(source);
        let mut out = Vec::new();
        while let Some(line) = lines.next()? {
            let number = u32::try_from(line.number).ok();
            let number = number.filter(|number| *number <= MOST_LINES);
            let number = first | number.ok_or(FreezeError::TooMany)?;
            self.lines += 1;
            out.clear();
            let checked = match line.too_long {
                false => check(line.text, &mut out),
                true => Err(Rejection::new(format!("longer than {LINE_LIMIT} bytes"))),
            };
            match checked {
                Ok(checked) => self.take(number, checked, &out)?,
                Err(rejection) => self.reject(number, &rejection, line.text)?,
            }
        }
        Ok(())
    }

    fn take(&mut self, number: u32, checked: Checked, text: &[u8]) -> io::Result<()> {
        let row = u128::from(checked.row) << 32;
        let (kind, group) = match checked.feature {
            Some(feature) => (Kind::Feature, row | u128::from(feature)),
            None => (Kind::Metrics, row),
        };
        self.ledger.note(number, kind, group)?;
        let (mark, uuid) = match (checked.uuid, checked.feature) {
            (Some(uuid), _) => {
                self.ledger.note(number, Kind::Uuid, uuid.as_u128())?;
                (Mark::OwnUuid, uuid)
            }
            (None, Some(_)) => {
                let uuid = derive(&self.job, text, 0);
                self.ledger.note(number, Kind::Content, uuid.as_u128())?;
                (Mark::NoUuid, uuid)
            }
            (None, None) => (Mark::Metric, Uuid::nil()),
        };
        self.write(mark, number, uuid, text)
    }

    fn reject(&mut self, number: u32, rejection: &Rejection, text: &[u8]) -> io::Result<()> {
        self.rejected += 1;
        // What nobody will read takes no room.
        let (reason, text) = match self.rejected > MOST_LISTED {
            true => (String::new(), &b""[..]),
            false => (rejection.to_string(), text),
        };
        let problem = Problem::ours(number, reason, text);
        let problem = serde_json::to_vec(&problem).map_err(io::Error::other)?;
        self.write(Mark::Rejected, number, Uuid::nil(), &problem)
    }

    fn write(&mut self, mark: Mark, number: u32, uuid: Uuid, text: &[u8]) -> io::Result<()> {
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        self.checked.write_all(&[mark as u8])?;
        self.checked.write_all(&number.to_le_bytes())?;
        self.checked.write_all(uuid.as_bytes())?;
        self.checked.write_all(&length.to_le_bytes())?;
        self.checked.write_all(text)
    }

    fn write_chunks(self, server: &Path, folder: &Path, most_lines: u32) -> io::Result<Frozen> {
        let findings = self.ledger.count(|kind, before| match kind {
            Kind::Uuid | Kind::Content => true,
            Kind::Feature => before >= MOST_PER_FEATURE,
            Kind::Metrics => before >= MOST_METRICS,
        })?;
        let mut checked = self
            .checked
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        checked.rewind()?;
        let mut writing = Writing {
            job: self.job,
            findings,
            chunks: Chunks::begin(folder, most_lines, 1),
            list: RejectedFile::create(server)?,
            rejected: 0,
            first: Vec::new(),
        };
        let mut reader = BufReader::with_capacity(64 * 1024, checked);
        let mut text = Vec::new();
        for _ in 0..self.lines {
            let head = read_line(&mut reader, &mut text)?;
            writing.line(head, &text)?;
        }
        writing.list.finish()?;
        writing.first.sort_by_key(|problem| Reverse(problem.alike));
        Ok(Frozen {
            lines: u64::from(self.lines),
            taken: 0,
            rejected: writing.rejected,
            first: writing.first,
            chunks: writing.chunks.finish()?,
        })
    }
}

fn read_line(reader: &mut impl Read, text: &mut Vec<u8>) -> io::Result<(Mark, u32, Uuid)> {
    let damaged = || io::Error::from(io::ErrorKind::InvalidData);
    let mut head = [0; HEAD];
    reader.read_exact(&mut head)?;
    let (mark, rest) = head.split_first().ok_or_else(damaged)?;
    let (number, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    let (uuid, length) = rest.split_first_chunk::<16>().ok_or_else(damaged)?;
    let length = length.first_chunk::<4>().ok_or_else(damaged)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(io::Error::other)?;
    text.clear();
    text.resize(length, 0);
    reader.read_exact(text)?;
    let mark = Mark::ALL.get(usize::from(*mark)).ok_or_else(damaged)?;
    Ok((*mark, u32::from_le_bytes(*number), Uuid::from_bytes(*uuid)))
}

/// Lines on their way into chunks, or into the list of those that are not sent.
struct Writing {
    job: String,
    findings: Findings,
    chunks: Chunks,
    list: RejectedFile,
    rejected: u64,
    first: Vec<Problem>,
}

impl Writing {
    fn line(&mut self, (mark, number, uuid): (Mark, u32, Uuid), text: &[u8]) -> io::Result<()> {
        let mut occurrence = 0;
        let mut reason = None;
        for finding in self.findings.of_line(number)? {
            match finding.kind {
                Kind::Content => occurrence = finding.before,
                Kind::Uuid => reason = Some(format!("uuid {uuid} stands in an earlier line")),
                Kind::Feature => {
                    reason = Some(format!(
                        "more than {MOST_PER_FEATURE} predictions of one row with one feature"
                    ));
                }
                Kind::Metrics => {
                    reason = Some(format!("more than {MOST_METRICS} metrics of one row"));
                }
            }
        }
        if mark == Mark::Rejected {
            let problem = serde_json::from_slice(text).map_err(io::Error::other)?;
            return self.reject(problem);
        }
        if let Some(reason) = reason {
            return self.reject(Problem::ours(number, reason, text));
        }
        let uuid = match (mark, occurrence) {
            (Mark::Metric | Mark::Rejected, _) => None,
            (Mark::NoUuid, 1..) => Some(derive(&self.job, text, occurrence)),
            (Mark::NoUuid | Mark::OwnUuid, _) => Some(uuid),
        };
        let origin = Origin { line: number, uuid };
        match uuid {
            None => self.chunks.add(text, origin),
            Some(uuid) => self.chunks.add(&with_uuid(uuid, text), origin),
        }
    }

    fn reject(&mut self, problem: Problem) -> io::Result<()> {
        self.rejected += 1;
        self.list.add(&problem)?;
        let mut known = self.first.iter_mut();
        if let Some(first) = known.find(|first| first.reason == problem.reason) {
            first.alike += 1;
        } else if self.first.len() < FIRST && !problem.reason.is_empty() {
            let text = String::new();
            self.first.push(Problem { text, ..problem });
        }
        Ok(())
    }
}

/// The object with a uuid at its beginning.
fn with_uuid(uuid: Uuid, object: &[u8]) -> Vec<u8> {
    let rest = object.strip_prefix(b"{").unwrap_or(object);
    let mut line = Vec::with_capacity(object.len() + 48);
    line.extend_from_slice(b"{\"uuid\":\"");
    let mut text = Uuid::encode_buffer();
    line.extend_from_slice(uuid.as_hyphenated().encode_lower(&mut text).as_bytes());
    line.extend_from_slice(b"\",");
    line.extend_from_slice(rest);
    line
}

/// The same prediction of the same job always gets the same uuid; the same one once more gets another.
fn derive(job: &str, content: &[u8], occurrence: u32) -> Uuid {
    let mut digest = Sha1::new();
    digest.update(job.as_bytes());
    digest.update(content);
    if occurrence > 0 {
        digest.update(occurrence.to_le_bytes());
    }
    let digest = digest.finalize();
    let bytes = digest.first_chunk().copied().unwrap_or_default();
    uuid::Builder::from_sha1_bytes(bytes).into_uuid()
}
