//! What an engine may still hold of attempts that are over for us: cancelled and cleaned up until it confirms.

use jiff::Timestamp;
use rusqlite::Row;

use super::{
    Store, StoreError,
    rows::{json, millis, time, to_json},
};
use crate::job::{Handle, JobId};

/// An attempt that is over for us, and perhaps not for its engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Leftover {
    /// The row.
    pub id: i64,
    /// The executor that holds it.
    pub executor: String,
    /// How to find it.
    pub handle: Handle,
    /// Since when.
    pub created_at: Timestamp,
    /// Tries to remove it that failed.
    pub failures: u32,
    /// What the engine said last.
    pub last_error: Option<String>,
}

impl Store {
    /// Remembers an attempt that must be removed from its engine.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn add_leftover(
        &self,
        executor: String,
        handle: Handle,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let handle = to_json(&handle)?;
        self.write(move |connection| {
            let sql = "INSERT INTO leftovers (executor, handle, created_at, failures, next_try_at) \
                       VALUES (?1, ?2, ?3, 0, ?3)";
            connection
                .prepare_cached(sql)?
                .execute((&executor, &handle, millis(now)))?;
            Ok(())
        })
        .await
    }

    /// The leftovers of an executor that should be tried by `now`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn leftovers_due(
        &self,
        executor: String,
        now: Timestamp,
    ) -> Result<Vec<Leftover>, StoreError> {
        self.read(move |connection| {
            let sql = "SELECT id, executor, handle, created_at, failures, last_error FROM leftovers \
                       WHERE executor = ?1 AND next_try_at <= ?2 ORDER BY id LIMIT 100";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map((executor, millis(now)), leftover)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// What an engine may still hold of a job's attempts.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn leftovers_of(&self, job: JobId) -> Result<Vec<Leftover>, StoreError> {
        self.read(move |connection| {
            let sql = "SELECT id, executor, handle, created_at, failures, last_error FROM leftovers ORDER BY id";
            let mut statement = connection.prepare_cached(sql)?;
            let all = statement.query_map((), leftover)?.collect::<Result<Vec<_>, _>>()?;
            let of_job = |one: &Leftover| one.handle.launch_id.job == job;
            Ok(all.into_iter().filter(of_job).collect())
        })
        .await
    }

    /// The engine confirmed: nothing is left.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn remove_leftover(&self, id: i64) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection
                .prepare_cached("DELETE FROM leftovers WHERE id = ?1")?
                .execute([id])?;
            Ok(())
        })
        .await
    }

    /// The engine did not confirm; it is asked again at `next_try_at`.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn postpone_leftover(
        &self,
        id: i64,
        error: String,
        next_try_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |connection| {
            let sql = "UPDATE leftovers SET failures = failures + 1, last_error = ?2, next_try_at = ?3 WHERE id = ?1";
            connection.prepare_cached(sql)?.execute((id, &error, millis(next_try_at)))?;
            Ok(())
        })
        .await
    }
}

fn leftover(row: &Row<'_>) -> rusqlite::Result<Leftover> {
    Ok(Leftover {
        id: row.get(0)?,
        executor: row.get(1)?,
        handle: json(row, 2)?,
        created_at: time(row, 3)?,
        failures: row.get(4)?,
        last_error: row.get(5)?,
    })
}
