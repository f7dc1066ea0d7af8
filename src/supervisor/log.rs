//! The log: everything that the command writes is read; its beginning and its end are kept.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{self, PipeReader, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::OFlags;
use tokio::{sync::oneshot, time::timeout};

use crate::job_dir::{AttemptDir, LOG_PARTS_KEPT, log_part_name, log_part_room};

/// After a failed write, what comes within this is dropped without another try.
const WRITE_PAUSE: Duration = Duration::from_secs(1);

/// How long the rest of the output may take once every process is gone. The pipe can only still be
/// open if it was handed to a stranger.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);

/// Bytes read at once: what a pipe holds.
const READ_SIZE: usize = 64 * 1024;

/// Writes the log's files: the beginning up to half of the limit, then parts of a quarter each, of
/// which the newest two stay.
#[derive(Debug)]
pub(super) struct LogWriter {
    dir: AttemptDir,
    limit: u64,
    /// Everything that the command wrote so far, kept or not.
    total: u64,
    dropped: u64,
    open: Option<OpenPart>,
    parts: VecDeque<PathBuf>,
    failed_at: Option<Instant>,
}

#[derive(Debug)]
struct OpenPart {
    file: File,
    room: u64,
    path: PathBuf,
    is_empty: bool,
}

impl LogWriter {
    /// Creates the first file, so that readers find a log from the start.
    pub(super) fn create(dir: &AttemptDir, limit: u64) -> Self {
        let mut log = Self {
            dir: dir.clone(),
            limit,
            total: 0,
            dropped: 0,
            open: None,
            parts: VecDeque::new(),
            failed_at: None,
        };
        // Where that fails, so does the first line, and says so.
        log.open = log.begin_part().ok();
        log
    }

    /// Takes in all bytes; those that cannot be written are counted and gone.
    fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let written = match self.write_some(bytes) {
                Ok(written) => written,
                Err(error) => {
                    self.give_up_part(&error);
                    self.dropped += bytes.len() as u64;
                    bytes.len()
                }
            };
            self.total += written as u64;
            bytes = &bytes[written..];
        }
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let resting = |at: Instant| at.elapsed() < WRITE_PAUSE;
        if self.failed_at.is_some_and(resting) {
            return Err(io::Error::other("resting after a failed write"));
        }
        if self.open.as_ref().is_none_or(|part| part.room == 0) {
            self.open = Some(self.begin_part()?);
        }
        let part = self.open.as_mut().expect("a part was just opened");
        let fitting = usize::try_from(part.room).map_or(bytes.len(), |room| room.min(bytes.len()));
        let written = match part.file.write(&bytes[..fitting]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            other => other?,
        };
        part.room -= written as u64;
        part.is_empty &= written == 0;
        self.failed_at = None;
        Ok(written)
    }

    /// The oldest part goes before the new one comes, so that the bound holds at every moment.
    fn begin_part(&mut self) -> io::Result<OpenPart> {
        let path = self.dir.path().join(log_part_name(self.total));
        if self.total > 0 {
            while self.parts.len() >= LOG_PARTS_KEPT {
                if let Some(oldest) = self.parts.pop_front() {
                    remove(&oldest)?;
                }
            }
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)?;
        if self.total > 0 {
            self.parts.push_back(path.clone());
        }
        Ok(OpenPart {
            file,
            room: log_part_room(self.limit, self.total),
            path,
            is_empty: true,
        })
    }

    /// Offsets in a file are offsets in the log only as long as nothing is missing: after a failure
    /// a new part begins. One that holds nothing yet must not push out one that does.
    fn give_up_part(&mut self, error: &io::Error) {
        if self.failed_at.is_some_and(|at| at.elapsed() < WRITE_PAUSE) {
            return;
        }
        self.failed_at = Some(Instant::now());
        eprintln!("the log cannot be written, its lines are dropped: {error}");
        if let Some(part) = self.open.take().filter(|part| part.is_empty) {
            self.parts.retain(|path| *path != part.path);
            // What cannot be removed is an empty file.
            let _ = remove(&part.path);
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Reads `output` to its end on a thread of its own, so that neither a slow disk nor a chatty command
/// delays a wish to stop. The receiver hears when all is read.
pub(super) fn drain(mut output: PipeReader, mut log: LogWriter) -> oneshot::Receiver<()> {
    let (done, drained) = oneshot::channel();
    thread::spawn(move || {
        let mut buffer = vec![0; READ_SIZE];
        loop {
            match output.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => log.append(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    eprintln!("the command's output cannot be read any more: {error}");
                    break;
                }
            }
        }
        if log.dropped > 0 {
            eprintln!("{} bytes of the log were dropped", log.dropped);
        }
        // Nobody waits any more if it took too long.
        let _ = done.send(());
    });
    drained
}

/// Returns when the log holds everything, or its time is up.
pub(super) async fn wait_until_drained(drained: oneshot::Receiver<()>) {
    if timeout(DRAIN_PATIENCE, drained).await.is_err() {
        eprintln!("the command's output is still open although all its processes are gone");
    }
}
