//! Runs beside a training command: claims the attempt, starts the command, keeps its log, stops it
//! when asked, sees that nothing of it is left, and writes down how it ended.
//!
//! One supervisor lives for one attempt. Everything goes through the attempt's folder, so that no
//! server has to be there while it works.

#![deny(clippy::print_stderr)]

mod command;
mod environment;
mod handover;
mod heartbeat;
mod log;
mod memory;
mod mirror;
mod plain;
mod reason;
mod record;
mod seat;
mod stub;
mod sweep;
mod watch;

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write},
    path::Path,
    process::ExitStatus,
};

use jiff::Timestamp;
use rustix::{
    fs::Mode,
    process::{setsid, umask},
};
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use crate::{
    config::{Secret, SecretError},
    job_dir::{AttemptDir, ExitRecord, Request},
    process::ProcessId,
};
use command::Prepared;
use memory::OomKills;
use record::{End, RecordSlot};
use seat::Seat;
use watch::{Signals, StopCause};

pub use handover::{ENV_ARGUMENT, take_sent_variables};
pub use mirror::{Mirrored, supervise_mirrored};
pub use stub::{STUB_COMMAND, become_command};

/// Why a supervisor ran no command and left no record.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// Another supervisor holds the attempt's lock.
    #[error("another supervisor is at work on this attempt")]
    LockBusy,
    /// Another supervisor, or the server's wish to give the attempt up, was first.
    #[error("the attempt is claimed already: {0}")]
    ClaimLost(String),
    /// The engine has ended its part before this one began.
    #[error("the process {0} that stands for the attempt is gone")]
    KeeperLost(u32),
    /// The launch's token is not here.
    #[error("the launch's token cannot be read: {0}")]
    Token(SecretError),
    /// This machine cannot do what a supervisor needs.
    #[error("cannot {doing}: {source}")]
    Broken {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl SuperviseError {
    /// The exit code that tells them apart: 91 lock busy, 92 claim lost, 93 broken.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::LockBusy => 91,
            Self::ClaimLost(_) => 92,
            Self::Broken { .. } | Self::Token(_) | Self::KeeperLost(_) => 93,
        }
    }

    fn broken(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Broken { doing, source }
    }
}

/// Runs the attempt whose folder is `job_dir` to its end and answers with the command's exit code,
/// or 128 and its signal. To be called from the main thread of a process of its own: the command is
/// bound to the life of the thread that starts it. The end of `keeper`, the engine's process that stands for the
/// attempt, stops the command.
///
/// # Errors
/// [`SuperviseError`] when no command was run and no record written.
pub fn supervise(job_dir: &Path, keeper: Option<ProcessId>) -> Result<u8, SuperviseError> {
    isolate().map_err(SuperviseError::broken("leave the session"))?;
    let dir = AttemptDir::at(job_dir.to_owned());
    let request = dir
        .read_request()
        .map_err(SuperviseError::broken("read request.json"))?;
    let (runtime, signals) = event_loop(keeper)?;
    let lock = seat::wait_for_lock(&dir)?;
    let seat = Seat::take(lock, &dir, request.launch_id, Uuid::new_v4())?;
    let work = Work {
        dir: &dir,
        request: &request,
        env: BTreeMap::new(),
    };
    let record = attend(&work, &seat, || run(&runtime, &work, signals))?;
    // A file system that hangs must not keep us: the record is written, nothing else matters.
    runtime.shutdown_background();
    Ok(record::exit_code(&record))
}

/// What is to be done, and where.
struct Work<'a> {
    dir: &'a AttemptDir,
    request: &'a Request,
    /// For the command, beside the supervisor's own environment.
    env: BTreeMap<String, Secret>,
}

/// Sees that the end is written down, whatever it is.
fn attend(
    work: &Work<'_>,
    seat: &Seat,
    live: impl FnOnce() -> End,
) -> Result<ExitRecord, SuperviseError> {
    let slot = RecordSlot::reserve(work.dir);
    let started_at = Timestamp::now();
    let record = live().into_record(work.dir, work.request, seat.instance(), started_at);
    slot.write(work.dir, &record)
        .map_err(SuperviseError::broken("write exit.json"))?;
    Ok(record)
}

fn event_loop(keeper: Option<ProcessId>) -> Result<(Runtime, Signals), SuperviseError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(SuperviseError::broken("start the event loop"))?;
    let signals =
        Signals::listen(&runtime, keeper).map_err(SuperviseError::broken("listen to signals"))?;
    Ok((runtime, signals))
}

/// Says it in `supervisor.log`. That may be on a full disk, which must not end us: `eprintln!` would panic.
pub fn complain(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Out of the session of whoever started us, so that neither its terminal nor its end touches us.
fn isolate() -> io::Result<()> {
    // Refused to a leader of a process group; then the session is not ours and is left alone.
    let _ = setsid();
    umask(Mode::RWXG | Mode::RWXO);
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{
            DumpableBehavior, getpid, set_child_subreaper, set_dumpable_behavior,
        };
        set_child_subreaper(Some(getpid()))?;
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    Ok(())
}

fn run(runtime: &Runtime, work: &Work<'_>, signals: Signals) -> End {
    if matches!(work.dir.read_cancel(), Ok(Some(_))) {
        return End::NeverBegun;
    }
    let oom_kills = OomKills::now();
    match Prepared::new(work) {
        Ok(prepared) => match runtime.block_on(live(work, signals, prepared)) {
            Ok(ended) => End::Ended {
                out_of_memory: ended.was_killed()
                    && !ended.killed_by_us
                    && oom_kills.as_ref().is_some_and(OomKills::grew),
                status: ended.status,
                stop: ended.stop,
                unlogged: ended.unlogged,
            },
            Err(error) => End::NotStarted(error),
        },
        Err(error) => End::NotStarted(error),
    }
}

/// A command that lived.
struct Lived {
    /// None if the system did not tell.
    status: Option<ExitStatus>,
    stop: Option<StopCause>,
    killed_by_us: bool,
    /// The end of its output that the log could not take.
    unlogged: Vec<u8>,
}

impl Lived {
    /// Shells report a killed program as exit code 137.
    fn was_killed(&self) -> bool {
        use std::os::unix::process::ExitStatusExt;
        self.status
            .is_some_and(|status| status.signal() == Some(9) || status.code() == Some(128 + 9))
    }
}

/// From the start of the command until nothing of it is left.
async fn live(work: &Work<'_>, signals: Signals, prepared: Prepared<'_>) -> Result<Lived, String> {
    let Work { dir, request, .. } = *work;
    let log = log::LogWriter::create(dir, request.limits.log_bytes);
    let (mut child, output) = prepared.spawn()?;
    let drained = log::drain(output, log);
    let heartbeat = heartbeat::start(dir, child.id());
    let mut lived = watch::until_it_ends(dir, request, signals, &mut child).await;
    sweep::until_nothing_is_left(request.launch_id).await;
    lived.unlogged = log::wait_until_drained(drained).await;
    heartbeat.abort();
    Ok(lived)
}
