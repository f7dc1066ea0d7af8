//! Rows to jobs and back.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, Row, named_params, types::Type};
use serde::{Serialize, de::DeserializeOwned};

use super::StoreError;
use crate::job::{Effects, Job, Report};

/// The columns that [`job_from_row`] reads, in its order.
pub(super) const JOB_COLUMNS: &str = "seq, version, id, workspace, model_run_id, model_id, kind, parent, actor, \
     entry, protocol, state, stage, cause, message, attempt, devices, handle, boot_id, stop, waiting, progress, \
     events_offset, accepted_at, started_at, ended_at, next_check_at, queue_deadline, not_before, settled, exported_at";

/// Milliseconds since 1970.
pub(super) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// Nothing is ever told to wait this long: a time beyond it was written under a clock that has been
/// set back since, and is due.
const LONGEST_WAIT: Duration = Duration::from_secs(2 * 3600);

/// Where waiting until a row's time begins to be a clock's mistake, in milliseconds since 1970.
pub(super) fn too_far(now: Timestamp) -> i64 {
    millis(now).saturating_add(i64::try_from(LONGEST_WAIT.as_millis()).unwrap_or(i64::MAX))
}

/// The time a row holds.
pub(super) fn time(row: &Row<'_>, index: usize) -> rusqlite::Result<Timestamp> {
    Timestamp::from_millisecond(row.get(index)?).map_err(|error| unreadable(index, error))
}

/// The time a row may hold.
pub(super) fn optional_time(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<Timestamp>> {
    let at: Option<i64> = row.get(index)?;
    at.map(|at| Timestamp::from_millisecond(at).map_err(|error| unreadable(index, error)))
        .transpose()
}

/// The word a row holds.
pub(super) fn word<T>(row: &Row<'_>, index: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.get_ref(index)?
        .as_str()?
        .parse()
        .map_err(|error| unreadable(index, error))
}

fn optional_word<T>(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<T>>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.get_ref(index)?
        .as_str_or_null()?
        .map(|text| text.parse().map_err(|error| unreadable(index, error)))
        .transpose()
}

/// The JSON a row holds.
pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, index: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(index)?.as_str()?).map_err(|error| unreadable(index, error))
}

fn optional_json<T: DeserializeOwned>(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<T>> {
    let text = row.get_ref(index)?.as_str_or_null()?;
    text.map(|text| serde_json::from_str(text).map_err(|error| unreadable(index, error)))
        .transpose()
}

fn unreadable(
    index: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(error))
}

/// JSON for a column; our own types always have one.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// Reads [`JOB_COLUMNS`].
pub(super) fn job_from_row(row: &Row<'_>) -> rusqlite::Result<Job> {
    Ok(Job {
        seq: row.get(0)?,
        version: row.get(1)?,
        id: word(row, 2)?,
        workspace: row.get(3)?,
        model_run_id: word(row, 4)?,
        model_id: row.get(5)?,
        kind: word(row, 6)?,
        parent: optional_word(row, 7)?,
        actor: row.get(8)?,
        entry: json(row, 9)?,
        protocol: row.get(10)?,
        state: word(row, 11)?,
        stage: optional_word(row, 12)?,
        cause: optional_word(row, 13)?,
        message: row.get(14)?,
        attempt: row.get(15)?,
        devices: json(row, 16)?,
        handle: optional_json(row, 17)?,
        boot_id: row.get(18)?,
        stop: optional_json(row, 19)?,
        waiting: row.get(20)?,
        progress: json(row, 21)?,
        events_offset: row.get(22)?,
        accepted_at: time(row, 23)?,
        started_at: optional_time(row, 24)?,
        ended_at: optional_time(row, 25)?,
        next_check_at: optional_time(row, 26)?,
        queue_deadline: optional_time(row, 27)?,
        not_before: optional_time(row, 28)?,
        settled: optional_json(row, 29)?,
        exported_at: optional_time(row, 30)?,
    })
}

/// Writes what may change of a job, and raises its version.
///
/// # Errors
/// [`StoreError::Stale`] when the row is no longer at the version the job was read at.
pub(super) fn save_job(connection: &Connection, job: &Job) -> Result<(), StoreError> {
    let handle = job.handle.as_ref().map(to_json).transpose()?;
    let stop = job.stop.as_ref().map(to_json).transpose()?;
    let settled = job.settled.as_ref().map(to_json).transpose()?;
    let changed = connection
        .prepare_cached(
            "UPDATE jobs SET version = version + 1, state = :state, stage = :stage, cause = :cause, \
             message = :message, attempt = :attempt, devices = :devices, handle = :handle, boot_id = :boot_id, \
             stop = :stop, waiting = :waiting, progress = :progress, events_offset = :events_offset, \
             started_at = :started_at, ended_at = :ended_at, next_check_at = :next_check_at, \
             queue_deadline = :queue_deadline, not_before = :not_before, settled = :settled, \
             exported_at = :exported_at \
             WHERE seq = :seq AND version = :version",
        )?
        .execute(named_params! {
            ":seq": job.seq, ":version": job.version, ":state": job.state.as_str(),
            ":stage": job.stage.map(|stage| stage.as_str()), ":cause": job.cause.map(|cause| cause.as_str()),
            ":message": job.message, ":attempt": job.attempt, ":devices": to_json(&job.devices)?,
            ":handle": handle, ":boot_id": job.boot_id, ":stop": stop, ":waiting": job.waiting,
            ":progress": to_json(&job.progress)?, ":events_offset": job.events_offset,
            ":started_at": job.started_at.map(millis), ":ended_at": job.ended_at.map(millis),
            ":next_check_at": job.next_check_at.map(millis), ":queue_deadline": job.queue_deadline.map(millis),
            ":not_before": job.not_before.map(millis), ":settled": settled,
            ":exported_at": job.exported_at.map(millis),
        })?;
    if changed == 1 {
        Ok(())
    } else {
        Err(StoreError::Stale)
    }
}

/// Writes what a change means beside the job's row: its timeline entry and its owed report.
pub(super) fn save_effects(
    connection: &Connection,
    job: &Job,
    effects: &Effects,
    now: Timestamp,
) -> Result<(), StoreError> {
    if let Some(entry) = &effects.timeline {
        connection
            .prepare_cached(
                "INSERT INTO timeline (job, at, event, detail) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((job.seq, millis(now), &entry.event, &entry.detail))?;
    }
    if let Some(report) = &effects.report {
        owe(connection, job, report, now)?;
    }
    Ok(())
}

/// Puts a report into the outbox.
pub(super) fn owe(
    connection: &Connection,
    job: &Job,
    report: &Report,
    now: Timestamp,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO reports (job, report, final, state, created_at) VALUES (?1, ?2, ?3, 'owed', ?4)",
        )?
        .execute((
            job.seq,
            to_json(report)?,
            report.status.is_final(),
            millis(now),
        ))?;
    Ok(())
}
