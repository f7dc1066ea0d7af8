//! The outbox as the reporter sees it: which run is next, what to send, what became of it.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::{
    Store, StoreError,
    rows::{json, millis, owe, time, too_far},
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

/// Who is parked: tried again only every few minutes, and shown loudly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Park {
    /// Nobody.
    No,
    /// The run.
    Run,
    /// The workspace: its key is refused.
    Workspace,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Labelbox has it.
    Delivered {
        /// A note on how, if it is worth one: "sent as a bare status".
        note: Option<String>,
        /// The final is to be read back then, since an older update may still overtake it.
        read_back_at: Option<Timestamp>,
    },
    /// Not yet.
    Postponed {
        /// Why.
        error: String,
        /// Tried again then.
        next_try_at: Timestamp,
        /// Who waits.
        park: Park,
        /// The whole workspace waits, as after a rate limit.
        whole_workspace: bool,
        /// It may be applied all the same, later.
        ambiguous: bool,
    },
    /// Labelbox confirmed that the run does not exist: all its reports end.
    Ended {
        /// Why, for people.
        note: String,
    },
}

/// Reports that may be sent by ?1; beyond ?2 waiting is a clock's mistake.
const OWED_AND_DUE: &str = "reports r JOIN jobs j ON j.seq = r.job \
     LEFT JOIN runs u ON u.workspace = r.workspace AND u.model_run_id = r.model_run_id \
     LEFT JOIN workspaces w ON w.name = r.workspace \
     WHERE r.state = 'owed' AND coalesce(u.next_try_at, 0) NOT BETWEEN ?1 + 1 AND ?2 \
     AND coalesce(w.next_try_at, 0) NOT BETWEEN ?1 + 1 AND ?2";

/// Runs whose last report is a final that Labelbox has and that is to be read back.
const TO_READ_BACK: &str = "runs u JOIN reports r \
     ON r.id = (SELECT max(id) FROM reports l WHERE l.workspace = u.workspace \
     AND l.model_run_id = u.model_run_id) JOIN jobs j ON j.seq = r.job \
     WHERE u.read_back_at IS NOT NULL AND r.final AND r.state = 'delivered'";

impl Store {
    /// Runs whose next report may be tried by `now`, the longest waiting first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn owed_runs(&self, now: Timestamp, limit: u32) -> Result<Vec<OwedRun>, StoreError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT r.workspace, r.model_run_id, w.parked IS NOT NULL FROM {OWED_AND_DUE} \
                 GROUP BY r.workspace, r.model_run_id ORDER BY min(r.id) LIMIT ?3"
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
                 SELECT max(coalesce(u.next_try_at, 0), coalesce(w.next_try_at, 0)) AS at FROM reports r \
                 LEFT JOIN runs u ON u.workspace = r.workspace AND u.model_run_id = r.model_run_id \
                 LEFT JOIN workspaces w ON w.name = r.workspace WHERE r.state = 'owed' \
                 UNION ALL SELECT u.read_back_at FROM {TO_READ_BACK})"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let at: Option<i64> = statement.query_row([], |row| row.get(0))?;
            at.map(|at| Timestamp::from_millisecond(at).map_err(|error| StoreError::Corrupt(error.to_string())))
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

    /// Records what became of a delivery.
    ///
    /// # Errors
    /// When the store cannot commit; the report is then sent again, which Labelbox takes.
    pub async fn settle(
        &self,
        delivery: &Delivery,
        settlement: Settlement,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let delivery = delivery.clone();
        self.write(move |connection| settle(connection, &delivery, &settlement, now))
            .await
    }

    /// Runs whose final is to be read back by `now`, with the final that Labelbox should hold.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn read_backs(&self, now: Timestamp) -> Result<Vec<Delivery>, StoreError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT u.workspace, u.model_run_id, r.id, r.report, j.id FROM {TO_READ_BACK} \
                 AND u.read_back_at <= ?1 LIMIT 100"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map([millis(now)], |row| {
                let (run, job): (String, String) = (row.get(1)?, row.get(4)?);
                Ok((row.get(0)?, run, row.get(2)?, json(row, 3)?, job))
            })?;
            let delivery =
                |(workspace, run, id, report, job): (String, String, i64, Report, String)| {
                    let job = job.parse().map_err(|_| StoreError::Corrupt(job))?;
                    Ok(Delivery {
                        workspace,
                        model_run_id: parse_run(&run)?,
                        job,
                        rows: vec![id],
                        report,
                        failures: 0,
                    })
                };
            rows.map(|row| delivery(row?)).collect()
        })
        .await
    }

    /// Ends a read-back; `again` owes the final once more, because Labelbox holds something else.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn finish_read_back(
        &self,
        read: &Delivery,
        again: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let read = read.clone();
        self.write(move |connection| {
            let sql = "UPDATE runs SET read_back_at = NULL, ambiguous_at = NULL WHERE workspace = ?1 AND model_run_id = ?2";
            connection.prepare_cached(sql)?.execute((&read.workspace, read.model_run_id.as_str()))?;
            if again && let Some(job) = super::jobs::by_id(connection, read.job)? {
                owe(connection, &job, &read.report, now)?;
            }
            Ok(())
        })
        .await
    }

    /// Looks at a run's read-back again later, because Labelbox did not answer.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn postpone_read_back(
        &self,
        read: &Delivery,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let read = read.clone();
        self.write(move |connection| {
            let sql =
                "UPDATE runs SET read_back_at = ?3 WHERE workspace = ?1 AND model_run_id = ?2";
            connection.prepare_cached(sql)?.execute((
                &read.workspace,
                read.model_run_id.as_str(),
                millis(at),
            ))?;
            Ok(())
        })
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

fn parse_run(text: &str) -> Result<ModelRunId, StoreError> {
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
         AND r.workspace = ?3 AND r.model_run_id = ?4 ORDER BY r.id LIMIT 1000"
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

fn settle(
    connection: &Connection,
    delivery: &Delivery,
    settlement: &Settlement,
    now: Timestamp,
) -> Result<(), StoreError> {
    let key = (&delivery.workspace, delivery.model_run_id.as_str());
    connection
        .prepare_cached("INSERT OR IGNORE INTO runs (workspace, model_run_id) VALUES (?1, ?2)")?
        .execute(key)?;
    match settlement {
        Settlement::Delivered { note, read_back_at } => {
            let (last, merged) = delivery
                .rows
                .split_last()
                .ok_or(StoreError::NotFound("report"))?;
            for id in merged {
                mark(connection, *id, "merged", None, now)?;
            }
            mark(connection, *last, "delivered", note.as_deref(), now)?;
            let sql = "UPDATE runs SET failures = 0, next_try_at = 0, last_error = NULL, parked = 0, read_back_at = ?3 \
                       WHERE workspace = ?1 AND model_run_id = ?2";
            connection
                .prepare_cached(sql)?
                .execute((key.0, key.1, read_back_at.map(millis)))?;
            // A call from before a rate limit does not end it.
            let sql = "DELETE FROM workspaces WHERE name = ?1 AND (parked IS NOT NULL OR next_try_at <= ?2)";
            connection
                .prepare_cached(sql)?
                .execute((key.0, millis(now)))?;
        }
        Settlement::Postponed {
            error,
            next_try_at,
            park,
            whole_workspace,
            ambiguous,
        } => {
            let sql = "UPDATE runs SET failures = failures + 1, next_try_at = ?3, last_error = ?4, parked = ?5, \
                       ambiguous_at = iif(?6, ?7, ambiguous_at) WHERE workspace = ?1 AND model_run_id = ?2";
            let parked = *park == Park::Run;
            // A refused key is the workspace's matter: the run waits with the others, and no longer than they.
            let run_waits_until = match park {
                Park::Workspace => 0,
                Park::No | Park::Run => millis(*next_try_at),
            };
            connection.prepare_cached(sql)?.execute((
                key.0,
                key.1,
                run_waits_until,
                error,
                parked,
                ambiguous,
                millis(now),
            ))?;
            if *whole_workspace || *park == Park::Workspace {
                let reason = (*park == Park::Workspace).then_some(error);
                let sql = "INSERT OR REPLACE INTO workspaces (name, next_try_at, parked) VALUES (?1, ?2, ?3)";
                connection
                    .prepare_cached(sql)?
                    .execute((key.0, millis(*next_try_at), reason))?;
            }
        }
        Settlement::Ended { note } => {
            let sql = "UPDATE reports SET state = 'dropped', settled_at = ?3, note = ?4 \
                       WHERE workspace = ?1 AND model_run_id = ?2 AND state = 'owed'";
            connection
                .prepare_cached(sql)?
                .execute((key.0, key.1, millis(now), note))?;
            let sql = "UPDATE runs SET failures = 0, next_try_at = 0, parked = 0, last_error = ?3, read_back_at = NULL \
                       WHERE workspace = ?1 AND model_run_id = ?2";
            connection
                .prepare_cached(sql)?
                .execute((key.0, key.1, note))?;
        }
    }
    Ok(())
}

pub(super) fn mark(
    connection: &Connection,
    id: i64,
    state: &str,
    note: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE reports SET state = ?2, settled_at = ?3, note = coalesce(?4, note) WHERE id = ?1 AND state = 'owed'";
    connection
        .prepare_cached(sql)?
        .execute((id, state, millis(now), note))?;
    Ok(())
}

impl Store {
    /// When a request of ours for this run may last have been lost on its way, if lately.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn ambiguous_since(
        &self,
        delivery: &Delivery,
    ) -> Result<Option<Timestamp>, StoreError> {
        let (workspace, run) = (delivery.workspace.clone(), delivery.model_run_id.clone());
        self.read(move |connection| {
            let sql = "SELECT ambiguous_at FROM runs WHERE workspace = ?1 AND model_run_id = ?2 AND ambiguous_at IS NOT NULL";
            let mut statement = connection.prepare_cached(sql)?;
            Ok(statement.query_row((workspace, run.as_str()), |row| time(row, 0)).optional()?)
        })
        .await
    }
}
