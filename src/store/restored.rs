//! What a store does that was put back from a backup: the world has gone on without it.
//!
//! Jobs that have begun meanwhile are followed by their launch ids, never started again. What Labelbox was owed when
//! the backup was made is read back before it is sent again, since it was told newer things.

use std::cmp::Ordering;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};

use super::{
    Store, StoreError,
    begin::{begin, insert_job},
    jobs::{apply_all, by_id},
    rows::{millis, to_json},
};
use crate::{
    job::{Cause, Change, Job, JobId, JobState},
    job_dir::{JobRecord, LastAttempt},
};

/// What became of a job that the store did not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adoption {
    /// It has a row now, and is followed to its end.
    Adopted,
    /// Its run has a live job, which comes first.
    Later,
    /// A newer job of its run is known: it tells Labelbox nothing any more.
    Superseded,
    /// It has a row already.
    Known,
}

impl Store {
    /// When the backup was made from which this store was put back; none if it was not.
    #[must_use]
    pub fn restored_from(&self) -> Option<Timestamp> {
        self.restored_from
    }

    /// Lets go of what the backup believed was owed: progress is old, finals are read back, nobody is parked.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn forget_old_reports(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| {
            let now = millis(now);
            let owed_finals = "SELECT DISTINCT j.workspace, j.model_run_id FROM reports r JOIN jobs j ON j.seq = r.job \
                               WHERE r.state = 'owed' AND r.final";
            let sql = format!("INSERT OR IGNORE INTO runs (workspace, model_run_id) {owed_finals}");
            connection.execute(&sql, [])?;
            let sql = format!(
                "UPDATE runs SET read_back_at = ?1 WHERE (workspace, model_run_id) IN ({owed_finals})"
            );
            connection.execute(&sql, [now])?;
            let sql = "UPDATE reports SET state = iif(final, 'delivered', 'merged'), settled_at = ?1, \
                       note = 'owed when the backup was made that the store was restored from' WHERE state = 'owed'";
            connection.execute(sql, [now])?;
            let sql = "UPDATE runs SET failures = 0, next_try_at = 0, parked = 0, last_error = NULL";
            connection.execute(sql, [])?;
            connection.execute("DELETE FROM workspaces", [])?;
            Ok(())
        })
        .await
    }

    /// Brings a live job to where its folder says it has got meanwhile.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn catch_up(
        &self,
        id: JobId,
        last: LastAttempt,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |connection| {
            let job = by_id(connection, id)?.ok_or(StoreError::NotFound("job"))?;
            // An attempt that the backup knows is followed as after any other start.
            let waits = matches!(
                job.state,
                JobState::Accepted | JobState::Exporting | JobState::Queued
            );
            let is_news = match last.number.cmp(&job.attempt) {
                Ordering::Less => false,
                Ordering::Equal => waits || last.revoked,
                Ordering::Greater => true,
            };
            match (is_news && !job.state.is_terminal(), last.revoked) {
                (false, _) => Ok(()),
                (true, true) => give_up(connection, job, now),
                (true, false) => resume(connection, job, &last, now),
            }
        })
        .await
    }

    /// Takes up a job of this store that the backup does not know.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn adopt(
        &self,
        record: JobRecord,
        webhook: Vec<u8>,
        last: Option<LastAttempt>,
        now: Timestamp,
    ) -> Result<Adoption, StoreError> {
        let digest = Sha256::digest(&webhook).to_vec();
        let entry_json = to_json(&record.entry)?;
        self.write(move |connection| {
            if by_id(connection, record.id)?.is_some() {
                return Ok(Adoption::Known);
            }
            if let Some(refusal) = rival(connection, &record)? {
                return Ok(refusal);
            }
            let mut job = begin(record.clone());
            insert_job(connection, &mut job, &webhook, &digest, &entry_json)?;
            // It has more to say about the run than whoever came before it.
            let sql =
                "UPDATE runs SET read_back_at = NULL WHERE workspace = ?1 AND model_run_id = ?2";
            connection.execute(sql, (&job.workspace, job.model_run_id.as_str()))?;
            note(
                connection,
                &job,
                "adopted",
                "its folder was found after the store was restored",
                now,
            )?;
            match &last {
                None => {}
                Some(last) if last.revoked => give_up(connection, job, now)?,
                Some(last) => resume(connection, job, last, now)?,
            }
            Ok(Adoption::Adopted)
        })
        .await
    }

    /// Those of `ids` that have no row.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn unknown_jobs(&self, ids: Vec<JobId>) -> Result<Vec<JobId>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare("SELECT 1 FROM jobs WHERE id = ?1")?;
            let mut unknown = Vec::new();
            for id in ids {
                if !statement.exists([id.to_string()])? {
                    unknown.push(id);
                }
            }
            Ok(unknown)
        })
        .await
    }

    /// Ends the restoration: from now on the store is like any other.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn end_restoration(&self) -> Result<(), StoreError> {
        self.write(|connection| {
            connection.execute("UPDATE server SET backup_of = NULL", [])?;
            Ok(())
        })
        .await
    }
}

/// What keeps a job of this run from being taken up now, or for ever.
fn rival(connection: &Connection, record: &JobRecord) -> Result<Option<Adoption>, StoreError> {
    let sql = "SELECT id, state FROM jobs WHERE workspace = ?1 AND model_run_id = ?2 ORDER BY \
               state IN ('succeeded', 'failed', 'cancelled'), id DESC LIMIT 1";
    let run = (&record.workspace, record.model_run_id.as_str());
    let found = connection
        .prepare_cached(sql)?
        .query_row(run, |row| {
            Ok((super::rows::word(row, 0)?, super::rows::word(row, 1)?))
        })
        .optional()?;
    let Some((id, state)) = found else {
        return Ok(None);
    };
    let (id, state): (JobId, JobState) = (id, state);
    Ok(match state.is_terminal() {
        false => Some(Adoption::Later),
        true => (id > record.id).then_some(Adoption::Superseded),
    })
}

/// From here on the launch id finds it: what has begun is not begun again.
fn resume(
    connection: &Connection,
    job: Job,
    last: &LastAttempt,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE jobs SET version = version + 1, state = 'submitting', attempt = ?2, devices = ?3, handle = NULL, \
               boot_id = NULL, events_offset = 0, waiting = NULL, not_before = NULL, next_check_at = ?4 WHERE seq = ?1";
    let devices = to_json(&last.devices)?;
    connection
        .prepare_cached(sql)?
        .execute((job.seq, last.number, devices, millis(now)))?;
    let detail = format!(
        "attempt {} had begun when the store was restored",
        last.number
    );
    note(connection, &job, "submitting", &detail, now)
}

/// Its last attempt was given up by the server that the backup was made of: it had ended.
fn give_up(connection: &Connection, job: Job, now: Timestamp) -> Result<(), StoreError> {
    let message = "it had been given up before the store was restored from a backup".to_owned();
    let failed = Change::Fail {
        cause: Cause::Lost,
        message,
    };
    apply_all(connection, job, &[failed], now).map(drop)
}

fn note(
    connection: &Connection,
    job: &Job,
    event: &str,
    detail: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO timeline (job, at, event, detail) VALUES (?1, ?2, ?3, ?4)";
    connection
        .prepare_cached(sql)?
        .execute((job.seq, millis(now), event, detail))?;
    Ok(())
}
