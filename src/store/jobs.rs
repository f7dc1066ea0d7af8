//! Jobs in the store: looked up, changed by the state machine, pulled into free slots.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, named_params};

use super::{
    Store, StoreError,
    rows::{JOB_COLUMNS, job_from_row, millis, save_effects, save_job, time, to_json, too_far},
};
use crate::job::{Cause, Change, Job, JobId, JobState, Stop};

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

/// What an executor has to give.
#[derive(Debug, Clone)]
pub struct Slots {
    /// The executor.
    pub executor: String,
    /// Jobs it holds at once.
    pub max_running: u32,
    /// Devices it hands out.
    pub devices: Vec<u32>,
    /// The boot during which jobs are submitted now.
    pub boot_id: String,
}

/// How full an executor is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// Jobs that wait for a slot.
    pub queued: u32,
    /// Jobs that hold one.
    pub holding: u32,
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
        self.write(move |connection| {
            let job = by_id(connection, id)?.ok_or(StoreError::NotFound("job"))?;
            if job.version != version {
                return Err(StoreError::Stale);
            }
            apply_all(connection, job, &changes, now)
        })
        .await
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
        self.write(move |connection| {
            let job = by_id(connection, id)?.ok_or(StoreError::NotFound("job"))?;
            if job.state.is_terminal() || job.stop.is_some() {
                return Ok(job);
            }
            apply_all(connection, job, &[Change::WishStop(stop.clone())], now)
        })
        .await
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

    /// A job's timeline, the oldest entry first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn timeline(&self, job: &Job) -> Result<Vec<TimelineRow>, StoreError> {
        let seq = job.seq;
        self.read(move |connection| {
            let sql = "SELECT at, event, detail FROM timeline WHERE job = ?1 ORDER BY id";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([seq], |row| {
                Ok(TimelineRow {
                    at: time(row, 0)?,
                    event: row.get(1)?,
                    detail: row.get(2)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Jobs in one of `states` that should be looked at by `now`; of one executor, if one is named.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn due(
        &self,
        states: &'static [JobState],
        executor: Option<String>,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Job>, StoreError> {
        self.read(move |connection| {
            let words: Vec<String> = states.iter().map(|state| format!("'{state}'")).collect();
            let sql = format!(
                "SELECT {JOB_COLUMNS} FROM jobs WHERE (next_check_at <= ?1 OR next_check_at > ?4) AND state IN ({}) \
                 AND (?2 IS NULL OR executor = ?2) ORDER BY next_check_at LIMIT ?3",
                words.join(", ")
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let found = statement.query_map((millis(now), executor, limit, too_far(now)), job_from_row)?;
            Ok(found.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// All jobs of an executor that hold a slot.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn holding_slots(&self, executor: String) -> Result<Vec<Job>, StoreError> {
        self.read(move |connection| holding(connection, &executor))
            .await
    }

    /// Moves queued jobs of an executor into its free slots, first come first served: each gets the
    /// devices it asked for, and is `submitting` when this returns.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn pull(
        &self,
        slots: Slots,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Job>, StoreError> {
        self.write(move |connection| fill_slots(connection, &slots, limit, now))
            .await
    }

    /// Ends the jobs that have waited longer than their `queue_timeout` without being handed to an
    /// engine. Only of `executors`: one that is not configured holds its jobs and fails none.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn expire_waiting(
        &self,
        executors: &[&str],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let executors = to_json(&executors)?;
        let late = self
            .read(move |connection| {
                let sql = format!(
                    "SELECT {JOB_COLUMNS} FROM jobs WHERE queue_deadline <= ?1 AND state IN ('accepted', 'exporting', \
                     'queued') AND executor IN (SELECT value FROM json_each(?2)) LIMIT 100"
                );
                let mut statement = connection.prepare_cached(&sql)?;
                let found = statement.query_map((millis(now), executors), job_from_row)?;
                Ok(found.collect::<Result<Vec<_>, _>>()?)
            })
            .await?;
        for job in late {
            let stop = Stop {
                cause: Some(Cause::QueueTimeout),
                actor: "trainhook".to_owned(),
                at: now,
            };
            self.wish_stop(job.id, stop, now).await?;
        }
        Ok(())
    }

    /// How full an executor is.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn counts(&self, executor: String) -> Result<JobCounts, StoreError> {
        self.read(move |connection| {
            let count = |states: &str| {
                let sql = format!(
                    "SELECT count(*) FROM jobs WHERE executor = ?1 AND state IN ({states})"
                );
                connection
                    .prepare_cached(&sql)?
                    .query_row([&executor], |row| row.get(0))
            };
            Ok(JobCounts {
                queued: count("'queued'")?,
                holding: count("'submitting', 'pending', 'running'")?,
            })
        })
        .await
    }

    /// How many queued jobs of the same executor come before this one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn queue_position(&self, job: &Job) -> Result<u32, StoreError> {
        let (executor, seq) = (job.entry.executor.clone(), job.seq);
        self.read(move |connection| {
            let sql =
                "SELECT count(*) FROM jobs WHERE executor = ?1 AND state = 'queued' AND seq < ?2";
            Ok(connection
                .prepare_cached(sql)?
                .query_row((executor, seq), |row| row.get(0))?)
        })
        .await
    }

    /// Makes every live job due: after a start nothing waits for an old clock's `next_check_at`.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn make_all_due(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| {
            let sql = "UPDATE jobs SET next_check_at = ?1 WHERE next_check_at IS NOT NULL";
            connection.execute(sql, [millis(now)])?;
            Ok(())
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

fn apply_all(
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

fn holding(connection: &Connection, executor: &str) -> Result<Vec<Job>, StoreError> {
    let sql = format!(
        "SELECT {JOB_COLUMNS} FROM jobs WHERE executor = ?1 AND state IN ('submitting', 'pending', 'running')"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_map([executor], job_from_row)?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn fill_slots(
    connection: &Connection,
    slots: &Slots,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<Job>, StoreError> {
    let mut running = holding(connection, &slots.executor)?;
    let mut pulled = Vec::new();
    let free = (slots.max_running as usize)
        .saturating_sub(running.len())
        .min(limit as usize);
    if free == 0 {
        return Ok(pulled);
    }
    let sql = format!(
        "SELECT {JOB_COLUMNS} FROM jobs WHERE executor = ?1 AND state = 'queued' \
         AND (not_before IS NULL OR not_before <= ?2 OR not_before > ?3) ORDER BY seq"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut queued =
        statement.query_map((&slots.executor, millis(now), too_far(now)), job_from_row)?;
    while pulled.len() < free
        && let Some(job) = queued.next().transpose()?
    {
        let Some(devices) = fitting_devices(&job, &running, &slots.devices) else {
            continue;
        };
        let submit = Change::Submit {
            devices,
            boot_id: slots.boot_id.clone(),
        };
        let job = apply_all(connection, job, &[submit], now)?;
        running.push(job.clone());
        pulled.push(job);
    }
    Ok(pulled)
}

/// The devices this job would get, or none if it does not fit beside those that run.
fn fitting_devices(job: &Job, running: &[Job], devices: &[u32]) -> Option<Vec<u32>> {
    let of_model = running
        .iter()
        .filter(|other| other.entry.slug == job.entry.slug)
        .count();
    if job
        .entry
        .max_running
        .is_some_and(|most| of_model >= most as usize)
    {
        return None;
    }
    let taken: BTreeSet<u32> = running
        .iter()
        .flat_map(|other| other.devices.iter().copied())
        .collect();
    let wanted = job.entry.resources.gpus as usize;
    let free: Vec<u32> = devices
        .iter()
        .copied()
        .filter(|device| !taken.contains(device))
        .take(wanted)
        .collect();
    (free.len() == wanted).then_some(free)
}
