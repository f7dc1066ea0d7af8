//! The job directory: the contract between server, supervisor and training command.
//!
//! ```text
//! jobs/<job>/            the job's: webhook.json, data/, code/, server/
//! jobs/<job>/a<n>/       an attempt's, and its TRAINHOOK_JOB_DIR: out/, checkpoint/, log/, events.ndjson,
//!                        claim.json, exit.json, cancel.json, heartbeat, supervisor.lock; data, code and webhook.json as links
//! ```
//! Nothing in it is trusted: it was written by a training command. What the server reads back it
//! reads through [`files`], which follows no link, takes regular files only and stops at a bound.

mod append;
mod claim;
mod code;
mod events;
pub mod files;
mod holder;
mod job_record;
mod log;
mod model_files;
mod place;
mod prune;
mod records;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::job::{JobId, LaunchId};

pub use append::Appended;
pub use claim::{Claim, ClaimOutcome, Claimant};
pub use code::{CodeError, FileRecord, hash, hash_file, survey};
pub use events::{EVENT_LINE_LIMIT, Event, EventBatch, Level};
pub use holder::{HEARTBEAT_INTERVAL, Holder, Lock};
pub use job_record::{JobRecord, LastAttempt};
pub use log::{LOG_PARTS_KEPT, LogChunk, log_part_name, log_part_room};
pub use model_files::{ModelFile, ModelFiles};
pub use records::{CancelRequest, ExitRecord, KEEPER_LOST, Limits, Request};

/// The folder of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobDir {
    path: PathBuf,
}

impl JobDir {
    /// The folder of `job` below `jobs_dir`; nothing is created.
    #[must_use]
    pub fn new(jobs_dir: &Path, job: JobId) -> Self {
        Self {
            path: jobs_dir.join(job.to_string()),
        }
    }

    /// Takes a folder for a job's; nothing is created.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of attempt `attempt`.
    #[must_use]
    pub fn attempt(&self, attempt: u32) -> AttemptDir {
        AttemptDir {
            path: self.path.join(format!("a{attempt}")),
        }
    }

    /// Where the server keeps what the command must not touch.
    #[must_use]
    pub fn server(&self) -> PathBuf {
        self.path.join("server")
    }

    /// The exported data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// The numbers that rows have in the model's formats.
    #[must_use]
    pub fn formats_index(&self) -> PathBuf {
        self.server().join("formats.index")
    }

    /// Creates the folder with the body as Labelbox sent it, and makes both durable.
    /// Doing it twice is harmless.
    ///
    /// # Errors
    /// When the disk is full or the folder is not writable.
    pub fn create(&self, webhook: &[u8]) -> io::Result<()> {
        for folder in [self.path.clone(), self.data(), self.server()] {
            fs::create_dir_all(folder)?;
        }
        files::write_atomic(&self.path.join("webhook.json"), webhook)?;
        if let Some(parent) = self.path.parent() {
            files::sync_dir(parent)?;
        }
        Ok(())
    }

    /// Creates the folder of an attempt: its request, its links, and the checkpoint of the attempt
    /// before, which moves here by rename so that an older attempt's paths no longer exist.
    /// Doing it twice is harmless; an attempt that has begun keeps what it has.
    ///
    /// # Errors
    /// When the disk is full or the folder is not writable.
    pub fn create_attempt(&self, request: &Request) -> io::Result<AttemptDir> {
        let LaunchId { attempt, .. } = request.launch_id;
        let dir = self.attempt(attempt);
        for folder in [dir.out(), dir.log_dir()] {
            fs::create_dir_all(folder)?;
        }
        self.move_checkpoint(attempt, &dir)?;
        let code = (!request.code.is_empty()).then_some("code");
        for name in ["data", "webhook.json"].into_iter().chain(code) {
            files::link_once(&Path::new("..").join(name), &dir.path.join(name))?;
        }
        let text = serde_json::to_vec_pretty(request).map_err(io::Error::other)?;
        files::write_atomic(&dir.request(), &text)?;
        files::sync_dir(&self.path)?;
        Ok(dir)
    }

    fn move_checkpoint(&self, attempt: u32, dir: &AttemptDir) -> io::Result<()> {
        let here = dir.checkpoint();
        if here.exists() {
            return Ok(());
        }
        for older in (1..attempt).rev() {
            let there = self.attempt(older).checkpoint();
            if there.is_dir() && !there.is_symlink() {
                return fs::rename(there, here);
            }
        }
        fs::create_dir_all(here)
    }
}

/// The folder of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptDir {
    path: PathBuf,
}

/// Declares the paths below an attempt's folder.
macro_rules! paths {
    ($($(#[$doc:meta])* $name:ident = $path:literal,)+) => {
        impl AttemptDir {
            $($(#[$doc])* #[must_use] pub fn $name(&self) -> PathBuf { self.path.join($path) })+
        }
    };
}

paths! {
    /// The description of job and attempt.
    request = "request.json",
    /// Who may run the command.
    claim = "claim.json",
    /// How it ended.
    exit = "exit.json",
    /// Written by the server when the command should stop.
    cancel = "cancel.json",
    /// A counter that grows while the supervisor lives.
    heartbeat = "heartbeat",
    /// Held by the supervisor for as long as it lives.
    lock = "supervisor.lock",
    /// What the supervisor itself has to say.
    supervisor_log = "supervisor.log",
    /// Stage, progress, metrics, notes; appended by the command.
    events = "events.ndjson",
    /// Where the log lies.
    log_dir = "log",
    /// Standard output and error of the command, in order.
    log = "log/output.log",
    /// The exported data.
    data = "data",
    /// The model's own files, where it has some.
    code = "code",
    /// What the command leaves for us.
    out = "out",
    /// Survives attempts.
    checkpoint = "checkpoint",
    /// First line: the reason shown to people.
    failure = "out/failure",
    /// Where torch's elastic launcher writes the error that ended it.
    torch_error = "torch_error.json",
    /// Its presence says "infrastructure, try again".
    retry = "out/retry",
}

impl AttemptDir {
    /// Takes an existing folder for an attempt's.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
