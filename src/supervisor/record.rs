//! `exit.json`: what became of the command, written once, whatever the disk says.

use std::{
    fs::{self, File},
    io::{self, Seek, Write},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::ExitStatus,
    thread,
    time::Duration,
};

use jiff::Timestamp;
use rustix::process::Signal;
use uuid::Uuid;

use super::{complain, reason::find_reason, watch::StopCause};
use crate::{
    backoff::Backoff,
    job_dir::{AttemptDir, ExitRecord, Request, files},
};

/// Room kept for the record on disk from the start; the longest one is shorter.
const RESERVED: u64 = 32 * 1024;

/// Between tries to write the record: 1 s, 2 s, 4 s, … 30 s.
const WRITE_BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    most: Duration::from_secs(30),
};

/// Files of `out/` that are made durable before the record vouches for them.
const SYNC_LIMIT: usize = 1000;

/// How it ended.
#[derive(Debug)]
pub(super) enum End {
    /// Nobody wanted it any more when its turn came.
    NeverBegun,
    /// A signal, or the end of its keeper, came before its turn did: it was not our doing.
    Interrupted(StopCause),
    /// What it needs did not come from the server, and why.
    NotFetched(String),
    /// It could not be started, and why.
    NotStarted(String),
    /// It ran.
    Ended {
        status: Option<ExitStatus>,
        stop: Option<StopCause>,
        out_of_memory: bool,
        /// The end of its output that the log could not take.
        unlogged: Vec<u8>,
    },
}

impl End {
    pub(super) fn into_record(
        self,
        dir: &AttemptDir,
        request: &Request,
        instance: Uuid,
        started_at: Timestamp,
    ) -> ExitRecord {
        let mut record = ExitRecord {
            launch_id: request.launch_id,
            instance,
            code: None,
            signal: None,
            start_error: None,
            asked_to_stop: false,
            keeper_lost: false,
            interrupted: false,
            run_timeout: false,
            out_of_memory: false,
            wants_retry: fs::symlink_metadata(dir.retry()).is_ok(),
            outputs_refused: None,
            reason: None,
            started_at,
            ended_at: Timestamp::now(),
        };
        match self {
            Self::NeverBegun => {
                record.asked_to_stop = true;
                record.reason = Some("asked to stop before it was started".to_owned());
            }
            Self::Interrupted(cause) => {
                record.signal = Some(Signal::TERM.as_raw());
                record.asked_to_stop = was_asked(dir, Some(cause));
                record.interrupted = cause == StopCause::Signal && !record.asked_to_stop;
                record.keeper_lost = cause == StopCause::KeeperLost;
            }
            Self::NotFetched(why) => {
                record.start_error = Some(format!("its files could not be fetched: {why}"));
                record.wants_retry = true;
            }
            Self::NotStarted(error) => record.start_error = Some(error),
            Self::Ended {
                status,
                stop,
                out_of_memory,
                unlogged,
            } => {
                record.code = status.and_then(|status| status.code());
                record.signal = status.and_then(|status| status.signal());
                record.asked_to_stop = was_asked(dir, stop);
                record.interrupted = stop == Some(StopCause::Signal) && !record.asked_to_stop;
                record.keeper_lost = stop == Some(StopCause::KeeperLost);
                record.run_timeout = stop == Some(StopCause::RunTimeout);
                record.out_of_memory = out_of_memory;
                let failed = record.code != Some(0);
                record.reason = failed.then(|| find_reason(dir, &unlogged)).flatten();
            }
        }
        record
    }
}

/// A signal alone is a stranger's, be it the engine's: then the engine must say why.
fn was_asked(dir: &AttemptDir, stop: Option<StopCause>) -> bool {
    match stop {
        None => false,
        Some(StopCause::Cancel | StopCause::RunTimeout) => true,
        Some(StopCause::Signal | StopCause::KeeperLost) => {
            matches!(dir.read_cancel(), Ok(Some(_)))
        }
    }
}

/// The supervisor's exit code for what it recorded: the command's, or 128 and its signal; 127 for
/// one that could not be started.
pub(super) fn exit_code(record: &ExitRecord) -> u8 {
    let by_signal = record.signal.map(|signal| 128 + signal);
    let not_started = record.start_error.as_ref().map(|_| 127);
    let code = record.code.or(by_signal).or(not_started);
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Room on disk for the record, taken while there was some.
#[derive(Debug)]
pub(super) struct RecordSlot {
    draft: PathBuf,
    file: Option<File>,
}

impl RecordSlot {
    /// Takes the room; where that fails, the record is written as any other file later.
    pub(super) fn reserve(dir: &AttemptDir) -> Self {
        let draft = dir.path().join(".exit.json.reserved");
        let file = reserve(&draft)
            .inspect_err(|error| {
                complain(format_args!(
                    "no room could be reserved for exit.json: {error}"
                ));
            })
            .ok();
        Self { draft, file }
    }

    /// Writes the record, trying until it is on disk.
    ///
    /// # Errors
    /// When the attempt's folder is gone, so that nobody could ever read it.
    pub(super) fn write(mut self, dir: &AttemptDir, record: &ExitRecord) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(record).map_err(io::Error::other)?;
        sync_outputs(dir);
        let mut failures = 0;
        loop {
            let written = self
                .fill_reserved(dir, &text)
                .or_else(|_| files::write_atomic(&dir.exit(), &text));
            let Err(error) = written else {
                return Ok(());
            };
            if is_gone(dir) {
                return Err(error);
            }
            failures += 1;
            complain(format_args!(
                "cannot write exit.json, trying again: {error}"
            ));
            thread::sleep(WRITE_BACKOFF.delay(failures));
        }
    }

    fn fill_reserved(&mut self, dir: &AttemptDir, text: &[u8]) -> io::Result<()> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        file.rewind()?;
        file.write_all(text)?;
        file.set_len(text.len() as u64)?;
        file.sync_all()?;
        fs::rename(&self.draft, dir.exit())?;
        files::sync_dir(dir.path())
    }
}

fn reserve(draft: &std::path::Path) -> io::Result<File> {
    let mut file = File::create(draft)?;
    // Written rather than reserved: every file system can do that.
    file.write_all(&vec![b' '; usize::try_from(RESERVED).unwrap_or(0)])?;
    file.sync_all()?;
    Ok(file)
}

/// The record says that the outputs are there; after a power cut they must be.
fn sync_outputs(dir: &AttemptDir) {
    let Ok(entries) = fs::read_dir(dir.out()) else {
        return;
    };
    for entry in entries.take(SYNC_LIMIT).flatten() {
        let name = std::path::Path::new("out").join(entry.file_name());
        let file = name
            .to_str()
            .and_then(|name| files::open_untrusted(dir.path(), name).ok()?);
        // A file that cannot be opened here cannot be read by the server either.
        if let Some(Err(error)) = file.map(|file| file.sync_all()) {
            complain(format_args!(
                "{} may not be on disk yet: {error}",
                name.display()
            ));
        }
    }
    // The folder's own entries; the same holds as for its files.
    let _ = files::sync_dir(&dir.out());
}

fn is_gone(dir: &AttemptDir) -> bool {
    fs::symlink_metadata(dir.path()).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}
