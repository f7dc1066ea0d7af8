//! Jobs in the store: looked up, and changed by the state machine.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, named_params};

use super::{
    Store, StoreError,
    rows::{JOB_COLUMNS, job_from_row, millis, save_effects, save_job, time},
};
use crate::job::{Change, Job, JobId, JobKind, JobState, Stop};

/// How a timeline begins.
const ACCEPTED: &str = "accepted";

/// Which jobs a list shows: the newest first.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only jobs in this state.
    pub state: Option<JobState>,
    /// Only jobs that have not ended.
    pub live: bool,
    /// Only jobs of this model.
    pub model: Option<String>,
    /// Only jobs of this model run.
    pub model_run_id: Option<String>,
    /// At most this many.
    pub limit: u32,
}

/// One line of a job's timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineRow {
    /// When.
    pub at: Timestamp,
    /// The new state, or what happened.
    pub event: String,
    /// For people.
    pub detail: Option<String>,
}

impl Store {
    /// Applies changes to the job as the caller read it, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the row has changed since; [`StoreError::Illegal`] when the state
    /// machine refuses; nothing is written then.
    pub async fn change(
        &self,
        seen: &Job,
        changes: Vec<Change>,
        now: Timestamp,
    ) -> Result<Job, StoreError> {
        let (id, version) = (seen.id, seen.version);
        let changed = self.write(move |connection| {
            let job = by_id(connection, id)?.ok_or(StoreError::NotFound("job"))?;
            if job.version != version {
                return Err(StoreError::Stale);
            }
            apply_all(connection, job, &changes, now)
        });
        let job = changed.await?;
        self.meters.count_if_ended(&job);
        Ok(job)
    }

    /// Wishes a job to stop, whatever it does at this moment. A job that has ended stays as it is.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or the store cannot commit.
    pub async fn wish_stop(
        &self,
        id: JobId,
        stop: Stop,
        now: Timestamp,
    ) -> Result<Job, StoreError> {
        let wished = self.write(move |connection| {
            let job = by_id(connection, id)?.ok_or(StoreError::NotFound("job"))?;
            if job.state.is_terminal() || job.stop.is_some() {
                return Ok((job, false));
            }
            let job = apply_all(connection, job, &[Change::WishStop(stop.clone())], now)?;
            Ok((job, true))
        });
        let (job, changed) = wished.await?;
        if changed {
            self.meters.count_if_ended(&job);
        }
        Ok(job)
    }

    /// Says when these jobs should be looked at again; one that has changed since it was read keeps
    /// what it has.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn check_again(&self, seen: &[Job], at: Timestamp) -> Result<(), StoreError> {
        let seen: Vec<(i64, i64)> = seen.iter().map(|job| (job.seq, job.version)).collect();
        if seen.is_empty() {
            return Ok(());
        }
        self.write(move |connection| {
            let sql = "UPDATE jobs SET next_check_at = ?3 \
                       WHERE seq = ?1 AND version = ?2 AND next_check_at IS NOT NULL";
            let mut statement = connection.prepare_cached(sql)?;
            for (seq, version) in &seen {
                statement.execute((seq, version, millis(at)))?;
            }
            Ok(())
        })
        .await
    }

    /// The job of that name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.read(move |connection| by_id(connection, id)).await
    }

    /// The body that began the job, exactly as it was sent.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or the store cannot be read.
    pub async fn webhook(&self, id: JobId) -> Result<Vec<u8>, StoreError> {
        self.read(move |connection| {
            let sql = "SELECT webhook FROM jobs WHERE id = ?1";
            let body = connection
                .prepare_cached(sql)?
                .query_row([id.to_string()], |row| row.get(0))
                .optional()?;
            body.ok_or(StoreError::NotFound("job"))
        })
        .await
    }

    /// Jobs, the newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn jobs(&self, filter: Filter) -> Result<Vec<Job>, StoreError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {JOB_COLUMNS} FROM jobs WHERE (:state IS NULL OR state = :state) \
                 AND (NOT :live OR state NOT IN ('succeeded', 'failed', 'cancelled')) \
                 AND (:model IS NULL OR model = :model) AND (:run IS NULL OR model_run_id = :run) \
                 ORDER BY seq DESC LIMIT :limit"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let found = statement.query_map(
                named_params! {
                    ":state": filter.state.map(|state| state.as_str()), ":live": filter.live,
                    ":model": filter.model, ":run": filter.model_run_id, ":limit": filter.limit,
                },
                job_from_row,
            )?;
            Ok(found.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The jobs that upload what this one has predicted, and those that go on with one of them; the oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn uploads_of(&self, trained: &Job) -> Result<Vec<Job>, StoreError> {
        let (workspace, run) = (trained.workspace.clone(), trained.model_run_id.to_string());
        let (mut family, seq) = (HashSet::from([trained.id]), trained.seq);
        let later = self.read(move |connection| {
            let sql = format!(
                "SELECT {JOB_COLUMNS} FROM jobs WHERE workspace = ?1 AND model_run_id = ?2 AND seq > ?3 \
                 AND kind = ?4 ORDER BY seq"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let wanted = (workspace, run, seq, JobKind::Upload.as_str());
            let found = statement.query_map(wanted, job_from_row)?;
            Ok(found.collect::<Result<Vec<Job>, _>>()?)
        });
        let mut uploads = later.await?;
        uploads.retain(|job| {
            let belongs = job.parent.is_some_and(|parent| family.contains(&parent));
            belongs && family.insert(job.id)
        });
        Ok(uploads)
    }

    /// A job's timeline, the oldest entry first. Its acceptance stands in its row, and costs no other.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn timeline(&self, job: &Job) -> Result<Vec<TimelineRow>, StoreError> {
        let seq = job.seq;
        let mut timeline = vec![TimelineRow {
            at: job.accepted_at,
            event: ACCEPTED.to_owned(),
            detail: Some(format!("by {}", job.actor)),
        }];
        self.read(move |connection| {
            let sql =
                "SELECT at, event, detail FROM timeline WHERE job = ?1 AND event <> ?2 ORDER BY id";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map((seq, ACCEPTED), |row| {
                Ok(TimelineRow {
                    at: time(row, 0)?,
                    event: row.get(1)?,
                    detail: row.get(2)?,
                })
            })?;
            timeline.extend(rows.collect::<Result<Vec<_>, _>>()?);
            Ok(timeline)
        })
        .await
    }
}

pub(super) fn by_id(connection: &Connection, id: JobId) -> Result<Option<Job>, StoreError> {
    let sql = format!("SELECT {JOB_COLUMNS} FROM jobs WHERE id = ?1");
    Ok(connection
        .prepare_cached(&sql)?
        .query_row([id.to_string()], job_from_row)
        .optional()?)
}

pub(super) fn apply_all(
    connection: &Connection,
    mut job: Job,
    changes: &[Change],
    now: Timestamp,
) -> Result<Job, StoreError> {
    for change in changes {
        let effects = job.apply(change.clone(), now)?;
        save_effects(connection, &job, &effects, now)?;
    }
    save_job(connection, &job)?;
    job.version += 1;
    Ok(job)
}
