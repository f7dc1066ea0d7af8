//! Finals that are read back, because an older update may have overtaken them.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::{
    Delivery, Store, StoreError,
    outbox::parse_run,
    rows::{json, millis, owe, time},
};
use crate::job::Report;

/// Runs whose last report is a final that Labelbox has and that is to be read back.
pub(super) const TO_READ_BACK: &str = "runs u JOIN reports r \
     ON r.id = (SELECT max(l.id) FROM jobs k JOIN reports l ON l.job = k.seq WHERE k.workspace = u.workspace \
     AND k.model_run_id = u.model_run_id) JOIN jobs j ON j.seq = r.job \
     WHERE u.read_back_at IS NOT NULL AND r.final AND r.state = 'delivered'";

impl Store {
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
            // A new job of the run may have told something since: the final is no longer the last word.
            if again
                && is_last_word(connection, &read)?
                && let Some(job) = super::jobs::by_id(connection, read.job)?
            {
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

    /// Doubts what may have been under way when the last server was killed: whatever is owed and no final may be
    /// applied late, behind a final that this server sends.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn doubt_reports_under_way(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| {
            let sql = "INSERT INTO runs (workspace, model_run_id, ambiguous_at) \
                       SELECT DISTINCT j.workspace, j.model_run_id, ?1 FROM reports r JOIN jobs j ON j.seq = r.job \
                       WHERE r.state = 'owed' AND NOT r.final \
                       ON CONFLICT (workspace, model_run_id) DO UPDATE SET ambiguous_at = excluded.ambiguous_at";
            connection.execute(sql, [millis(now)])?;
            Ok(())
        })
        .await
    }

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

/// Whether nothing came after this report of its run, and no job that will tell more.
fn is_last_word(connection: &Connection, read: &Delivery) -> Result<bool, StoreError> {
    let sql = "SELECT max(r.id) FROM jobs j JOIN reports r ON r.job = j.seq \
               WHERE j.workspace = ?1 AND j.model_run_id = ?2";
    let run = (&read.workspace, read.model_run_id.as_str());
    let last: Option<i64> = connection
        .prepare_cached(sql)?
        .query_row(run, |row| row.get(0))?;
    Ok(last.is_some() && last == read.rows.last().copied())
}
