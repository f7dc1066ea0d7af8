//! The queue: which jobs are due, which get a free slot, which have waited too long.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use rusqlite::Connection;

use super::{
    Store, StoreError,
    exports::forget,
    jobs::apply_all,
    rows::{JOB_COLUMNS, job_from_row, millis, to_json, too_far},
};
use crate::{
    config::Export,
    job::{Cause, Change, Job, Stop},
};

/// What an executor has to give.
#[derive(Debug, Clone)]
pub struct Slots {
    /// The executor.
    pub executor: String,
    /// Jobs it holds at once.
    pub max_running: u32,
    /// Devices it hands out; none where its engine does that.
    pub devices: Option<Vec<u32>>,
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
    /// Accepted jobs that should be looked at by `now`, the longest due first. A time that no wait can mean is a
    /// clock's mistake, and due as well.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn due_accepted(&self, now: Timestamp, limit: u32) -> Result<Vec<Job>, StoreError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {JOB_COLUMNS} FROM jobs WHERE next_check_at BETWEEN ?1 AND ?2 AND state = 'accepted' \
                 ORDER BY next_check_at LIMIT ?3"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut due = Vec::new();
            // One after the other, each is a walk along the index that ends at the limit; together, all would be sorted.
            for (from, to) in [(i64::MIN, millis(now)), (too_far(now) + 1, i64::MAX)] {
                let found = statement.query_map((from, to, limit), job_from_row)?;
                due.extend(found.collect::<Result<Vec<_>, _>>()?);
            }
            Ok(due)
        })
        .await
    }

    /// Jobs that hold a slot of an executor and should be looked at by `now`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn due_on(
        &self,
        executor: String,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Job>, StoreError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {JOB_COLUMNS} FROM jobs WHERE (next_check_at <= ?1 OR next_check_at > ?2) \
                 AND state IN ('submitting', 'pending', 'running') AND executor = ?3 \
                 ORDER BY next_check_at LIMIT ?4"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let key = (millis(now), too_far(now), executor, limit);
            let found = statement.query_map(key, job_from_row)?;
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
    /// devices it asked for, and is `submitting` when this returns. One whose data has become too old has it fetched
    /// again instead.
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
        let Some(devices) = fitting_devices(&job, &running, slots.devices.as_deref()) else {
            continue;
        };
        if is_stale(&job, now) {
            forget(connection, job.seq)?;
            apply_all(connection, job, &[Change::Export], now)?;
            continue;
        }
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

/// Whether the job's data is too old to be used: addresses in it may hold no longer, labels may have changed.
fn is_stale(job: &Job, now: Timestamp) -> bool {
    let most = job.entry.export.as_ref().and_then(Export::max_age);
    let age = job.exported_at.map(|at| now.duration_since(at));
    age.zip(most)
        .is_some_and(|(age, most)| Duration::try_from(age).is_ok_and(|age| age > most))
}

/// The devices this job would get, or none if it does not fit beside those that run.
fn fitting_devices(job: &Job, running: &[Job], devices: Option<&[u32]>) -> Option<Vec<u32>> {
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
    let Some(devices) = devices else {
        return Some(Vec::new());
    };
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
