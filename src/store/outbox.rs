//! The outbox as the reporter sees it: which run is next, what to send, what became of it.

use jiff::Timestamp;
use rusqlite::Connection;

use super::{
    Store, StoreError,
    read_back::TO_READ_BACK,
    rows::{json, millis, too_far},
};
use crate::job::{JobId, ModelRunId, Report};

/// A model run that has reports owed and may be tried now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwedRun {
    /// Its workspace.
    pub workspace: String,
    /// The run.
    pub model_run_id: ModelRunId,
    /// Its workspace's key was refused: one run is enough to try it.
    pub workspace_parked: bool,
}

/// The next report of a run: one row, or several of one job merged into their last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its workspace.
    pub workspace: String,
    /// The run.
    pub model_run_id: ModelRunId,
    /// The job it tells about.
    pub job: JobId,
    /// The rows it settles, in order.
    pub rows: Vec<i64>,
    /// What to send.
    pub report: Report,
    /// How often this run's reports have failed in a row.
    pub failures: u32,
}

/// Reports that may be sent by ?1; beyond ?2 waiting is a clock's mistake.
const OWED_AND_DUE: &str = "reports r JOIN jobs j ON j.seq = r.job \
     LEFT JOIN runs u ON u.workspace = j.workspace AND u.model_run_id = j.model_run_id \
     LEFT JOIN workspaces w ON w.name = j.workspace \
     WHERE r.state = 'owed' AND coalesce(u.next_try_at, 0) NOT BETWEEN ?1 + 1 AND ?2 \
     AND coalesce(w.next_try_at, 0) NOT BETWEEN ?1 + 1 AND ?2";

impl Store {
    /// Runs whose next report may be tried by `now`, in the order in which their jobs were accepted; a run may be
    /// named for each of its jobs.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn owed_runs(&self, now: Timestamp, limit: u32) -> Result<Vec<OwedRun>, StoreError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT j.workspace, j.model_run_id, w.parked IS NOT NULL FROM {OWED_AND_DUE} \
                 GROUP BY r.job ORDER BY r.job LIMIT ?3"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map((millis(now), too_far(now), limit), |row| {
                let model_run_id: String = row.get(1)?;
                Ok((row.get(0)?, model_run_id, row.get(2)?))
            })?;
            let owed = |(workspace, run, workspace_parked): (String, String, bool)| {
                let model_run_id = parse_run(&run)?;
                Ok(OwedRun {
                    workspace,
                    model_run_id,
                    workspace_parked,
                })
            };
            rows.map(|row| owed(row?)).collect()
        })
        .await
    }

    /// When the earliest postponed report, or read-back, may be tried; none when nothing waits.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn next_report_at(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT min(at) FROM ( \
                 SELECT max(coalesce(u.next_try_at, 0), coalesce(w.next_try_at, 0)) AS at \
                 FROM reports r JOIN jobs j ON j.seq = r.job \
                 LEFT JOIN runs u ON u.workspace = j.workspace AND u.model_run_id = j.model_run_id \
                 LEFT JOIN workspaces w ON w.name = j.workspace WHERE r.state = 'owed' \
                 UNION ALL SELECT u.read_back_at FROM {TO_READ_BACK})"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let at: Option<i64> = statement.query_row([], |row| row.get(0))?;
            at.map(|at| {
                Timestamp::from_millisecond(at)
                    .map_err(|error| StoreError::Corrupt(error.to_string()))
            })
            .transpose()
        })
        .await
    }

    /// The next report of a run, with the waiting progress of one job merged; none when nothing may be sent
    /// by `now`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn next_delivery(
        &self,
        run: &OwedRun,
        now: Timestamp,
    ) -> Result<Option<Delivery>, StoreError> {
        let run = run.clone();
        self.read(move |connection| next_delivery(connection, &run, now))
            .await
    }

    /// Makes everything of a workspace due at once: its key has changed.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn unpark_workspace(&self, workspace: String) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection
                .prepare_cached("DELETE FROM workspaces WHERE name = ?1")?
                .execute([&workspace])?;
            let sql = "UPDATE runs SET next_try_at = 0 WHERE workspace = ?1";
            connection.prepare_cached(sql)?.execute([&workspace])?;
            Ok(())
        })
        .await
    }

    /// Makes no wait longer than `longest` from `now`: a clock that was set back delays nothing.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn bound_report_waits(&self, longest: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| {
            for table in ["runs", "workspaces"] {
                let sql = format!("UPDATE {table} SET next_try_at = ?1 WHERE next_try_at > ?1");
                connection.execute(&sql, [millis(longest)])?;
            }
            connection.execute(
                "UPDATE runs SET read_back_at = ?1 WHERE read_back_at > ?1",
                [millis(longest)],
            )?;
            Ok(())
        })
        .await
    }
}

pub(super) fn parse_run(text: &str) -> Result<ModelRunId, StoreError> {
    text.parse()
        .map_err(|_| StoreError::Corrupt(format!("model run id {text:?}")))
}

fn next_delivery(
    connection: &Connection,
    run: &OwedRun,
    now: Timestamp,
) -> Result<Option<Delivery>, StoreError> {
    let sql = format!(
        "SELECT r.id, r.report, r.final, j.id, coalesce(u.failures, 0) FROM {OWED_AND_DUE} \
         AND j.workspace = ?3 AND j.model_run_id = ?4 ORDER BY r.id LIMIT 1000"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let run_id = run.model_run_id.as_str();
    let mut rows = statement.query((millis(now), too_far(now), &run.workspace, run_id))?;
    let mut delivery: Option<Delivery> = None;
    while let Some(row) = rows.next()? {
        let (id, report, is_final): (i64, Report, bool) = (row.get(0)?, json(row, 1)?, row.get(2)?);
        let job: String = row.get(3)?;
        let job: JobId = job.parse().map_err(|_| StoreError::Corrupt(job))?;
        match &mut delivery {
            None => {
                let (workspace, model_run_id) = (run.workspace.clone(), run.model_run_id.clone());
                let failures = row.get(4)?;
                delivery = Some(Delivery {
                    workspace,
                    model_run_id,
                    job,
                    rows: vec![id],
                    report,
                    failures,
                });
            }
            Some(merged) if merged.job == job && !is_final => {
                merged.rows.push(id);
                merged.report.status = report.status;
                merged.report.metadata.extend(report.metadata);
            }
            Some(_) => break,
        }
        if is_final {
            break;
        }
    }
    Ok(delivery)
}
