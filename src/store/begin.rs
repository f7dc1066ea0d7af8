//! A job's first row.

use rusqlite::{Connection, named_params};

use super::{StoreError, rows::millis};
use crate::{
    job::{Job, JobState, Progress},
    job_dir::JobRecord,
};

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
        settled: None,
        exported_at: None,
    }
}
