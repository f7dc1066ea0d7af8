//! Taking a request: one transaction that ends with a live job for the run, new or already there.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};

use super::{
    Store, StoreError,
    begin::{begin, insert_job},
    limits::{SpendingLimit, reached_limit},
    rows::{JOB_COLUMNS, job_from_row, json, millis, owe, to_json},
};
use crate::{
    config::ModelEntry,
    job::{Job, JobId, JobKind, ModelRunId, PROTOCOL, Report},
    job_dir::JobRecord,
};

/// A request to train a model run.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The workspace that asked.
    pub workspace: String,
    /// The model's entry, as it stands now.
    pub entry: Arc<ModelEntry>,
    /// What to train.
    pub model_run_id: ModelRunId,
    /// Labelbox's model, where the request named it.
    pub model_id: Option<String>,
    /// Train, or only upload what the parent has predicted.
    pub kind: JobKind,
    /// The ended job that this one retries.
    pub parent: Option<JobId>,
    /// Who wants it.
    pub actor: String,
    /// The body exactly as it was sent.
    pub webhook: Bytes,
    /// The same body within this time of its acceptance is a redelivery; zero for people, who mean it.
    pub redelivery_window: Duration,
    /// Whether the model's spending limits hold: for a button that anybody may click, not for people who run
    /// the server.
    pub limited: bool,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Acceptance {
    /// A new job.
    New(Job),
    /// The run's live job, or the one that a redelivered request began.
    Duplicate(Job),
    /// The run has a live job of another model.
    OtherModel(Job),
    /// A spending limit of the model is reached.
    OverLimit(SpendingLimit),
}

impl Store {
    /// Accepts a request; when this returns, the job is on disk.
    ///
    /// # Errors
    /// [`StoreError::Busy`] or [`StoreError::Unavailable`]: nothing was accepted, try again.
    pub async fn accept(&self, new: NewJob, now: Timestamp) -> Result<Acceptance, StoreError> {
        let digest = Sha256::digest(&new.webhook).to_vec();
        let entry_json = to_json(&*new.entry)?;
        self.write(move |connection| {
            let is_new_run = is_new_run(connection, &new)?;
            if !is_new_run
                && let Some(acceptance) = answered_before(connection, &new, &digest, now)?
            {
                return Ok(acceptance);
            }
            if let Some(limit) = reached_limit(connection, &new, now)? {
                return Ok(Acceptance::OverLimit(limit));
            }
            let texts = (&*digest, &*entry_json);
            insert(connection, &new, texts, is_new_run, now).map(Acceptance::New)
        })
        .await
    }
}

/// What a job of the same run makes of the request.
fn answered_before(
    connection: &Connection,
    new: &NewJob,
    digest: &[u8],
    now: Timestamp,
) -> Result<Option<Acceptance>, StoreError> {
    if let Some(job) = live_job(connection, new)? {
        let same = job.entry.title == new.entry.title;
        return Ok(Some(match same {
            true => Acceptance::Duplicate(job),
            false => Acceptance::OtherModel(job),
        }));
    }
    if let Some(job) = uploaded_by(connection, new)? {
        return Ok(Some(Acceptance::Duplicate(job)));
    }
    Ok(redelivered(connection, new, digest, now)?.map(Acceptance::Duplicate))
}

/// Most runs are: one look spares the others.
fn is_new_run(connection: &Connection, new: &NewJob) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM jobs WHERE workspace = ?1 AND model_run_id = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(!statement.exists((&new.workspace, new.model_run_id.as_str()))?)
}

fn live_job(connection: &Connection, new: &NewJob) -> Result<Option<Job>, StoreError> {
    let sql = format!(
        "SELECT {JOB_COLUMNS} FROM jobs WHERE workspace = ?1 AND model_run_id = ?2 \
         AND iif(state IN ('succeeded', 'failed', 'cancelled'), seq, 0) = 0"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement
        .query_row((&new.workspace, new.model_run_id.as_str()), job_from_row)
        .optional()?)
}

/// The job that uploads, or has uploaded, what the parent left. Whoever asked for the same at the same moment may come
/// when it has ended, and a second one would send what the first has sent.
fn uploaded_by(connection: &Connection, new: &NewJob) -> Result<Option<Job>, StoreError> {
    let (JobKind::Upload, Some(parent)) = (new.kind, new.parent) else {
        return Ok(None);
    };
    let sql = format!(
        "SELECT {JOB_COLUMNS} FROM jobs WHERE workspace = ?1 AND model_run_id = ?2 AND kind = ?3 AND parent = ?4"
    );
    let (run, kind) = (new.model_run_id.as_str(), JobKind::Upload.as_str());
    let key = (&new.workspace, run, kind, parent.to_string());
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row(key, job_from_row).optional()?)
}

/// The run's last job, if this very body began it a moment ago and it has not failed.
fn redelivered(
    connection: &Connection,
    new: &NewJob,
    digest: &[u8],
    now: Timestamp,
) -> Result<Option<Job>, StoreError> {
    let window = i64::try_from(new.redelivery_window.as_millis()).unwrap_or(i64::MAX);
    let sql = format!(
        "SELECT {JOB_COLUMNS} FROM jobs WHERE workspace = ?1 AND model_run_id = ?2 \
         AND webhook_digest = ?3 AND accepted_at > ?4 AND state <> 'failed' ORDER BY seq DESC LIMIT 1"
    );
    let since = millis(now).saturating_sub(window);
    let key = (&new.workspace, new.model_run_id.as_str(), digest, since);
    let last = connection
        .prepare_cached(&sql)?
        .query_row(key, job_from_row)
        .optional()?;
    Ok(last.filter(|_| window > 0))
}

impl NewJob {
    fn record(&self, now: Timestamp) -> JobRecord {
        JobRecord {
            server_id: String::new(),
            id: JobId::new(now),
            workspace: self.workspace.clone(),
            model_run_id: self.model_run_id.clone(),
            model_id: self.model_id.clone(),
            kind: self.kind,
            parent: self.parent,
            actor: self.actor.clone(),
            entry: (*self.entry).clone(),
            protocol: PROTOCOL,
            accepted_at: now,
        }
    }
}

fn insert(
    connection: &Connection,
    new: &NewJob,
    (digest, entry_json): (&[u8], &str),
    is_new_run: bool,
    now: Timestamp,
) -> Result<Job, StoreError> {
    let mut job = begin(new.record(now));
    insert_job(connection, &mut job, &new.webhook, digest, entry_json)?;
    let mut report = job.report();
    if !is_new_run {
        blank_earlier_keys(connection, &job, &mut report)?;
    }
    owe(connection, &job, &report, now)?;
    Ok(job)
}

/// Labelbox never forgets a metadata key: what earlier jobs of this run left there is blanked.
fn blank_earlier_keys(
    connection: &Connection,
    job: &Job,
    report: &mut Report,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT r.report FROM jobs j CROSS JOIN reports r ON r.job = j.seq \
             WHERE j.workspace = ?1 AND j.model_run_id = ?2 AND j.seq < ?3",
    )?;
    let run = (&job.workspace, job.model_run_id.as_str(), job.seq);
    let earlier = statement.query_map(run, |row| json::<Report>(row, 0))?;
    let mut blanks = BTreeMap::new();
    for report in earlier {
        blanks.extend(report?.metadata.into_keys().map(|key| (key, String::new())));
    }
    blanks.append(&mut report.metadata);
    report.metadata = blanks;
    Ok(())
}
