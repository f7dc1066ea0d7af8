//! Taking a request: one transaction that ends with a live job for the run, new or already there.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, named_params};
use sha2::{Digest, Sha256};

use super::{
    Store, StoreError,
    rows::{JOB_COLUMNS, job_from_row, json, millis, owe, to_json, too_far},
};
use crate::{
    config::ModelEntry,
    job::{Job, JobId, JobKind, JobState, ModelRunId, PROTOCOL, Progress, Report},
    job_dir::JobRecord,
};

/// In milliseconds.
const DAY: i64 = 24 * 3600 * 1000;

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

/// What keeps a button from spending more than a team wants to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpendingLimit {
    /// `max_queued`: this many jobs of the model wait already.
    #[error(
        "{0} jobs of this model wait already, which is its max_queued: wait until some have begun, or cancel some"
    )]
    Queued(u32),
    /// `max_starts_per_day`: this many were accepted within 24 hours; the next may be at that time.
    #[error(
        "this model was started {0} times within 24 hours, which is its max_starts_per_day: try again at {1:.0}"
    )]
    StartsPerDay(u32, Timestamp),
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
            if let Some(job) = live_job(connection, &new)? {
                let same = job.entry.title == new.entry.title;
                return Ok(if same {
                    Acceptance::Duplicate(job)
                } else {
                    Acceptance::OtherModel(job)
                });
            }
            if let Some(job) = redelivered(connection, &new, &digest, now)? {
                return Ok(Acceptance::Duplicate(job));
            }
            if let Some(limit) = reached_limit(connection, &new, now)? {
                return Ok(Acceptance::OverLimit(limit));
            }
            insert(connection, &new, &digest, &entry_json, now).map(Acceptance::New)
        })
        .await
    }
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

fn reached_limit(
    connection: &Connection,
    new: &NewJob,
    now: Timestamp,
) -> Result<Option<SpendingLimit>, StoreError> {
    let entry = &new.entry;
    if let Some(most) = entry.max_queued.filter(|_| new.limited) {
        // No more is counted than matters.
        let sql = "SELECT count(*) FROM (SELECT 1 FROM jobs WHERE model = ?1 \
                   AND state IN ('accepted', 'exporting', 'queued') LIMIT ?2)";
        let mut statement = connection.prepare_cached(sql)?;
        let waiting: u32 = statement.query_row((&entry.slug, most), |row| row.get(0))?;
        if waiting >= most {
            return Ok(Some(SpendingLimit::Queued(most)));
        }
    }
    let Some(most) = entry.max_starts_per_day.filter(|_| new.limited) else {
        return Ok(None);
    };
    // A start that a clock has put into the future must not count for ever.
    let sql = "SELECT accepted_at FROM jobs WHERE model = ?1 AND accepted_at BETWEEN ?2 AND ?3 \
               ORDER BY accepted_at DESC LIMIT 1 OFFSET ?4";
    let key = (&entry.slug, millis(now) - DAY, too_far(now), most - 1);
    let mut statement = connection.prepare_cached(sql)?;
    let first = statement
        .query_row(key, |row| row.get::<_, i64>(0))
        .optional()?;
    let next = first.and_then(|first| Timestamp::from_millisecond(first + DAY + 1).ok());
    Ok(next.map(|next| SpendingLimit::StartsPerDay(most, next)))
}

fn insert(
    connection: &Connection,
    new: &NewJob,
    digest: &[u8],
    entry_json: &str,
    now: Timestamp,
) -> Result<Job, StoreError> {
    let mut job = begin(new.record(now));
    insert_job(connection, &mut job, &new.webhook, digest, entry_json)?;
    connection
        .prepare_cached(
            "INSERT INTO timeline (job, at, event, detail) VALUES (?1, ?2, 'accepted', ?3)",
        )?
        .execute((job.seq, millis(now), format!("by {}", job.actor)))?;
    let report = first_report(connection, &job)?;
    owe(connection, &job, &report, now)?;
    Ok(job)
}

/// Gives a job that has just begun its row, and its place in the order.
pub(super) fn insert_job(
    connection: &Connection,
    job: &mut Job,
    webhook: &[u8],
    digest: &[u8],
    entry_json: &str,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO jobs (version, id, workspace, model_run_id, model_id, kind, parent, actor, model, executor, \
             entry, gpus, protocol, webhook, webhook_digest, state, attempt, devices, progress, events_offset, \
             accepted_at, next_check_at, queue_deadline) \
             VALUES (1, :id, :workspace, :run, :model_id, :kind, :parent, :actor, :model, :executor, \
             :entry, :gpus, :protocol, :webhook, :digest, :state, 1, '[]', '{}', 0, :now, :now, :deadline)",
        )?
        .execute(named_params! {
            ":id": job.id.to_string(), ":workspace": job.workspace, ":run": job.model_run_id.as_str(),
            ":model_id": job.model_id, ":kind": job.kind.as_str(), ":parent": job.parent.map(|id| id.to_string()),
            ":actor": job.actor, ":model": job.entry.slug, ":executor": job.entry.executor, ":entry": entry_json,
            ":gpus": job.entry.resources.gpus, ":protocol": job.protocol, ":webhook": webhook,
            ":digest": digest, ":state": job.state.as_str(), ":now": millis(job.accepted_at),
            ":deadline": job.queue_deadline.map(millis),
        })?;
    job.seq = connection.last_insert_rowid();
    Ok(())
}

impl NewJob {
    fn record(&self, now: Timestamp) -> JobRecord {
        JobRecord {
            server_id: String::new(),
            id: JobId::new(now),
            workspace: self.workspace.clone(),
            model_run_id: self.model_run_id.clone(),
            model_id: self.model_id.clone(),
            kind: JobKind::Train,
            parent: self.parent,
            actor: self.actor.clone(),
            entry: (*self.entry).clone(),
            protocol: PROTOCOL,
            accepted_at: now,
        }
    }
}

/// A job at its very beginning, not yet in the store.
pub(super) fn begin(record: JobRecord) -> Job {
    let timeout = record.entry.queue_timeout();
    let now = record.accepted_at;
    Job {
        seq: 0,
        version: 1,
        id: record.id,
        workspace: record.workspace,
        model_run_id: record.model_run_id,
        model_id: record.model_id,
        kind: record.kind,
        parent: record.parent,
        actor: record.actor,
        entry: record.entry,
        protocol: record.protocol,
        state: JobState::Accepted,
        stage: None,
        cause: None,
        message: None,
        attempt: 1,
        devices: Vec::new(),
        handle: None,
        boot_id: None,
        stop: None,
        waiting: None,
        progress: Progress::default(),
        events_offset: 0,
        accepted_at: now,
        started_at: None,
        ended_at: None,
        next_check_at: Some(now),
        queue_deadline: timeout.and_then(|timeout| now.checked_add(timeout).ok()),
        not_before: None,
    }
}

/// Labelbox never forgets a metadata key: what earlier jobs of this run left there is blanked.
fn first_report(connection: &Connection, job: &Job) -> Result<Report, StoreError> {
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
    let mut report = job.report();
    blanks.append(&mut report.metadata);
    report.metadata = blanks;
    Ok(report)
}
