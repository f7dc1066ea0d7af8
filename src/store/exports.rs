//! Jobs whose data is on its way, out of Labelbox or back into it.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::{
    Store, StoreError,
    jobs::apply_all,
    rows::{JOB_COLUMNS, job_from_row, millis, time, too_far},
};
use crate::job::{Change, Job};

/// What Labelbox was asked to export for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRow {
    /// Labelbox's id of the task.
    pub task: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Store {
    /// Lets accepted jobs of an executor begin to export, first come first served, as long as fewer than `places` of
    /// its jobs have their data or are fetching it. Answers those that began.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn begin_exports(
        &self,
        executor: String,
        places: u32,
        now: Timestamp,
    ) -> Result<Vec<Job>, StoreError> {
        let awaits = {
            let executor = executor.clone();
            self.read(move |connection| {
                let sql = "SELECT 1 FROM jobs WHERE executor = ?1 AND state = 'accepted' AND next_check_at IS NULL";
                Ok(connection.prepare_cached(sql)?.exists([executor])?)
            })
        };
        if !awaits.await? {
            return Ok(Vec::new());
        }
        self.write(move |connection| begin_exports(connection, &executor, places, now))
            .await
    }

    /// Jobs that export or upload and should be looked at by `now`; first those that upload, whose steps are short.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn due_transfers(&self, now: Timestamp, limit: u32) -> Result<Vec<Job>, StoreError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {JOB_COLUMNS} FROM jobs WHERE state IN ('exporting', 'uploading') \
                 AND (next_check_at <= ?1 OR next_check_at > ?2) ORDER BY state DESC, seq LIMIT ?3"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let found = statement.query_map((millis(now), too_far(now), limit), job_from_row)?;
            Ok(found.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// What Labelbox was asked to export for the job, if it was.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn export(&self, job: &Job) -> Result<Option<ExportRow>, StoreError> {
        let seq = job.seq;
        self.read(move |connection| {
            let sql = "SELECT task, created_at FROM exports WHERE job = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let row = statement.query_row([seq], |row| {
                Ok(ExportRow {
                    task: row.get(0)?,
                    created_at: time(row, 1)?,
                })
            });
            Ok(row.optional()?)
        })
        .await
    }

    /// Notes what Labelbox was asked to export for the job; an earlier task is forgotten.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn set_export(&self, job: &Job, row: ExportRow) -> Result<(), StoreError> {
        let seq = job.seq;
        self.write(move |connection| {
            let sql = "INSERT OR REPLACE INTO exports (job, task, created_at) VALUES (?1, ?2, ?3)";
            let values = (seq, &row.task, millis(row.created_at));
            connection.prepare_cached(sql)?.execute(values)?;
            Ok(())
        })
        .await
    }

    /// Forgets the job's export task: the next one begins anew.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn forget_export(&self, job: &Job) -> Result<(), StoreError> {
        let seq = job.seq;
        self.write(move |connection| forget(connection, seq)).await
    }
}

pub(super) fn forget(connection: &Connection, seq: i64) -> Result<(), StoreError> {
    let sql = "DELETE FROM exports WHERE job = ?1";
    connection.prepare_cached(sql)?.execute([seq])?;
    Ok(())
}

fn begin_exports(
    connection: &Connection,
    executor: &str,
    places: u32,
    now: Timestamp,
) -> Result<Vec<Job>, StoreError> {
    let sql = "SELECT count(*) FROM jobs WHERE executor = ?1 \
               AND (state = 'exporting' OR (state = 'queued' AND exported_at IS NOT NULL))";
    let taken: u32 = connection
        .prepare_cached(sql)?
        .query_row([executor], |row| row.get(0))?;
    let sql = format!(
        "SELECT {JOB_COLUMNS} FROM jobs WHERE executor = ?1 AND state = 'accepted' AND next_check_at IS NULL \
         ORDER BY seq LIMIT ?2"
    );
    let free = places.saturating_sub(taken);
    let mut statement = connection.prepare_cached(&sql)?;
    let waiting = statement
        .query_map((executor, free), job_from_row)?
        .collect::<Result<Vec<_>, _>>()?;
    let begin = |job| apply_all(connection, job, &[Change::Export], now);
    waiting.into_iter().map(begin).collect()
}
