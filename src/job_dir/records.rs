//! The JSON files of a job directory: `request.json`, `exit.json`, `cancel.json`.

use std::{collections::BTreeMap, fs, io, os::unix::fs::PermissionsExt, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AttemptDir, code::FileRecord, files};
use crate::{
    config::Resources,
    job::{Cause, JobId, LaunchId, ModelRunId},
};

/// The longest record believed, in bytes.
const RECORD_LIMIT: u64 = 1024 * 1024;

/// `request.json`: everything a command may want to know, and all its supervisor needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The version of the contract.
    pub protocol: u32,
    /// The job.
    pub job_id: JobId,
    /// The attempt's name on its engine.
    pub launch_id: LaunchId,
    /// The number of the attempt; the first is 1.
    pub attempt: u32,
    /// The model's slug.
    pub model: String,
    /// The model's title: Labelbox's `modelType`.
    pub model_type: String,
    /// Labelbox's model, where the request named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// Labelbox's model run.
    pub model_run_id: ModelRunId,
    /// Hyper-parameters as they hold for this job.
    pub params: serde_json::Map<String, serde_json::Value>,
    /// What the model run's config says beyond them.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub labelbox_config: serde_json::Map<String, serde_json::Value>,
    /// Which of its keys are nearly the name of a hyper-parameter, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labelbox_config_warning: Option<String>,
    /// The files of the run's data, by what they hold, below the attempt's folder; none where nothing is exported.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
    /// What the attempt may use.
    pub resources: Resources,
    /// The devices that are its own.
    pub devices: Vec<u32>,
    /// Program and arguments, with their placeholders.
    pub command: Vec<String>,
    /// Where the command runs: in `code`, if there are files of the model's own.
    pub workdir: PathBuf,
    /// The model's own files as they were taken at acceptance, from `code/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub code: Vec<FileRecord>,
    /// How long, how much.
    pub limits: Limits,
}

/// The limits that a supervisor enforces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The command is stopped after this; none for no limit.
    pub run_timeout_ms: Option<u64>,
    /// Between SIGTERM and SIGKILL.
    pub cancel_grace_ms: u64,
    /// Bytes of log kept, head and tail.
    pub log_bytes: u64,
}

/// `exit.json`: how the command ended, written atomically by the supervisor that holds the claim, after
/// every process of the attempt is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// The attempt.
    pub launch_id: LaunchId,
    /// The supervisor's instance, as in its claim.
    pub instance: Uuid,
    /// The command's exit code, if it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Why the command could not be started at all: program not found, no such folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_error: Option<String>,
    /// The supervisor asked it to stop: a cancel or the run time-out.
    #[serde(default)]
    pub asked_to_stop: bool,
    /// It was stopped because the engine's process that stood for the attempt had ended.
    #[serde(default)]
    pub keeper_lost: bool,
    /// A stranger's signal had it stopped, as engines send one before they take a place away: whatever it ended with, it may
    /// have been half done.
    #[serde(default)]
    pub interrupted: bool,
    /// It was stopped because it ran longer than its `run_timeout`.
    #[serde(default)]
    pub run_timeout: bool,
    /// The kernel killed a process for memory while this command ran, and it was killed.
    #[serde(default)]
    pub out_of_memory: bool,
    /// The command left `out/retry`.
    #[serde(default)]
    pub wants_retry: bool,
    /// Why what it left in `out/` did not reach the server, where that was refused for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs_refused: Option<String>,
    /// The reason in words, found in `out/failure`, an error file, or the log; one line, bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the command was spawned.
    pub started_at: Timestamp,
    /// When it and all its processes were gone.
    pub ended_at: Timestamp,
}

/// How an attempt ended whose engine's process was lost.
pub const KEEPER_LOST: &str = "stopped, because the engine's process that kept it had ended";

/// The exit code that says "infrastructure, try again" (sysexits: `EX_TEMPFAIL`).
const EXIT_RETRY: i32 = 75;

impl ExitRecord {
    /// Why the attempt failed; none if it did not.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        match (self.code, self.signal) {
            _ if self.run_timeout => Some(Cause::RunTimeout),
            // A command that was never started did not ask for it: its supervisor did.
            _ if self.start_error.is_some() && self.wants_retry => Some(Cause::Infra),
            _ if self.start_error.is_some() => Some(Cause::JobError),
            (Some(0), None) if self.outputs_refused.is_some() || self.interrupted => {
                Some(Cause::JobError)
            }
            (Some(0), None) => None,
            _ if self.out_of_memory => Some(Cause::OutOfMemory),
            (Some(EXIT_RETRY), _) => Some(Cause::Infra),
            _ if self.wants_retry || self.keeper_lost => Some(Cause::Infra),
            _ => Some(Cause::JobError),
        }
    }

    /// How it ended, for people: `exit code 3`, `killed by signal 9`.
    #[must_use]
    pub fn describe(&self) -> String {
        match (&self.start_error, self.code, self.signal) {
            (Some(error), ..) => error.clone(),
            (_, Some(0), None) if self.outputs_refused.is_some() => {
                let why = self.outputs_refused.as_deref().unwrap_or_default();
                format!("what it left could not be kept: {why}")
            }
            (_, Some(code), _) if self.interrupted => {
                format!("exit code {code}, after somebody else than the server had it stopped")
            }
            (_, Some(code), _) => format!("exit code {code}"),
            _ if self.keeper_lost => KEEPER_LOST.to_owned(),
            (_, _, Some(signal)) => format!("killed by signal {signal}"),
            _ => "ended in an unknown way".to_owned(),
        }
    }
}

/// `cancel.json`: the server's wish that the command stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequest {
    /// Between SIGTERM and SIGKILL.
    pub grace_ms: u64,
    /// Why, for the log.
    pub reason: String,
}

impl AttemptDir {
    /// Reads `request.json`.
    ///
    /// # Errors
    /// When it is missing, unreadable or no request.
    pub fn read_request(&self) -> io::Result<Request> {
        files::read_json(self.path(), "request.json", RECORD_LIMIT)?
            .ok_or_else(|| io::Error::other("there is no request.json"))
    }

    /// Reads `exit.json`; none if there is none yet.
    ///
    /// # Errors
    /// When it is there but unreadable or no exit record.
    pub fn read_exit(&self) -> io::Result<Option<ExitRecord>> {
        files::read_json(self.path(), "exit.json", RECORD_LIMIT)
    }

    /// Reads `cancel.json`; none if there is none.
    ///
    /// # Errors
    /// When it is there but unreadable or no cancel request.
    pub fn read_cancel(&self) -> io::Result<Option<CancelRequest>> {
        files::read_json(self.path(), "cancel.json", RECORD_LIMIT)
    }

    /// Asks the supervisor to stop the command. Asking twice changes nothing.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn request_cancel(&self, request: &CancelRequest) -> io::Result<()> {
        if self.cancel().exists() {
            return Ok(());
        }
        files::write_atomic(
            &self.cancel(),
            &serde_json::to_vec(request).map_err(io::Error::other)?,
        )?;
        // Its supervisor may be another user, who can look into this folder and not into the others.
        fs::set_permissions(self.cancel(), fs::Permissions::from_mode(0o644))
    }

    /// The supervisor's heartbeat counter; none before its first beat.
    ///
    /// # Errors
    /// When the file is there but unreadable.
    pub fn read_heartbeat(&self) -> io::Result<Option<u64>> {
        let text = files::read_untrusted(self.path(), "heartbeat", 32)?;
        Ok(text.and_then(|text| std::str::from_utf8(&text).ok()?.trim().parse().ok()))
    }
}
