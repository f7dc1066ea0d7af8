//! `server/job.json`: what a store that does not know a job must know to take it up again.

use std::io;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Claimant, JobDir, files};
use crate::{
    config::ModelEntry,
    job::{Job, JobId, JobKind, ModelRunId},
};

/// The longest record believed, in bytes.
const RECORD_LIMIT: u64 = 4 * 1024 * 1024;

/// The longest body that is read back, in bytes.
const WEBHOOK_LIMIT: u64 = 256 * 1024 * 1024;

/// A job as it was accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The store that accepted it.
    pub server_id: String,
    /// The job.
    pub id: JobId,
    /// The workspace that asked for it.
    pub workspace: String,
    /// What is trained.
    pub model_run_id: ModelRunId,
    /// Labelbox's model, where the request named it.
    pub model_id: Option<String>,
    /// A training, or only an upload.
    pub kind: JobKind,
    /// The ended job that this one retries.
    pub parent: Option<JobId>,
    /// Who wanted it.
    pub actor: String,
    /// The model's entry at acceptance; secrets are only named in it.
    pub entry: ModelEntry,
    /// The contract version it was accepted under.
    pub protocol: u32,
    /// When it was accepted.
    pub accepted_at: Timestamp,
}

impl JobRecord {
    /// The record of a job of the store `server_id`.
    #[must_use]
    pub fn of(job: &Job, server_id: &str) -> Self {
        Self {
            server_id: server_id.to_owned(),
            id: job.id,
            workspace: job.workspace.clone(),
            model_run_id: job.model_run_id.clone(),
            model_id: job.model_id.clone(),
            kind: job.kind,
            parent: job.parent,
            actor: job.actor.clone(),
            entry: job.entry.clone(),
            protocol: job.protocol,
            accepted_at: job.accepted_at,
        }
    }
}

/// How far a job has come, by its folder alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAttempt {
    /// Its number.
    pub number: u32,
    /// The devices it was given.
    pub devices: Vec<u32>,
    /// The server gave it up: nothing of it can start any more.
    pub revoked: bool,
}

impl JobDir {
    /// Puts the job's own record into its folder, and makes it durable.
    ///
    /// # Errors
    /// When the disk is full or the folder is not writable.
    pub fn write_record(&self, record: &JobRecord) -> io::Result<()> {
        let record = serde_json::to_vec(record).map_err(io::Error::other)?;
        files::write_atomic(&self.server().join("job.json"), &record)
    }

    /// The job's own record; none if it is not there.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read_record(&self) -> io::Result<Option<JobRecord>> {
        files::read_json(&self.server(), "job.json", RECORD_LIMIT)
    }

    /// The body that began the job; none if it is not there.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read_webhook(&self) -> io::Result<Option<Vec<u8>>> {
        files::read_untrusted(self.path(), "webhook.json", WEBHOOK_LIMIT)
    }

    /// The attempt with the highest number that has a folder; none if none has.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn last_attempt(&self) -> io::Result<Option<LastAttempt>> {
        let Some((number, dir)) = self
            .attempts()?
            .into_iter()
            .max_by_key(|(number, _)| *number)
        else {
            return Ok(None);
        };
        let request = dir.read_request().ok();
        let claim = dir.read_claim()?;
        Ok(Some(LastAttempt {
            number,
            devices: request.map(|request| request.devices).unwrap_or_default(),
            revoked: claim.is_some_and(|claim| matches!(claim.by, Claimant::Revoked { .. })),
        }))
    }
}
