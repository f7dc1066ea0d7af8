//! What `/metrics` wants to know of the store.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, Row};

use super::{ImportRow, Store, StoreError, rows::time};
use crate::{
    job::{Cause, ImportState, Job, JobState},
    meters::{Counters, Durations},
};

/// What has happened in the store since it was opened.
#[derive(Debug, Default)]
pub struct StoreMeters {
    /// How long transactions took, from their begin to the end of their commit.
    pub commits: Durations,
    /// Imports by how they ended.
    pub imports: Counters<&'static str>,
    /// Predictions by what became of them.
    pub predictions: Counters<&'static str>,
    /// Ended jobs: model, state, cause.
    pub ended: Counters<(String, JobState, Option<Cause>)>,
}

impl StoreMeters {
    pub(super) fn count_import(&self, row: &ImportRow) {
        match row.state {
            ImportState::Finished => {
                let refused = row.refused.unwrap_or_default();
                self.imports.add("finished");
                self.count_predictions("imported", row.lines.saturating_sub(refused));
                self.count_predictions("refused", refused);
            }
            ImportState::Failed => self.imports.add("failed"),
            ImportState::Frozen | ImportState::Posting | ImportState::Posted => {}
        }
    }

    /// Counts what became of so many predictions.
    pub fn count_predictions(&self, outcome: &'static str, count: u64) {
        self.predictions.add_many(outcome, count);
    }

    pub(super) fn count_if_ended(&self, job: &Job) {
        if job.state.is_terminal() {
            self.ended
                .add((job.entry.slug.clone(), job.state, job.cause));
        }
    }
}

/// How things stand in the store now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Live jobs by model and state.
    pub live: BTreeMap<(String, String), u64>,
    /// By executor, when the oldest job that still waits for a slot was accepted.
    pub oldest_waiting: BTreeMap<String, Timestamp>,
    /// By workspace, how many reports are owed, and since when the oldest.
    pub owed: BTreeMap<String, (u64, Timestamp)>,
    /// By workspace, how many runs are parked.
    pub parked_runs: BTreeMap<String, u64>,
    /// Workspaces whose key is refused, and why.
    pub parked_workspaces: BTreeMap<String, String>,
    /// What engines may still hold of attempts that are over.
    pub leftovers: u64,
}

impl Store {
    /// What has happened since the store was opened.
    #[must_use]
    pub fn meters(&self) -> &StoreMeters {
        &self.meters
    }

    /// How things stand now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn standing(&self) -> Result<Standing, StoreError> {
        self.read(|connection| {
            let parked_workspaces = "SELECT name, parked FROM workspaces WHERE parked IS NOT NULL";
            let leftovers = "SELECT count(*) FROM leftovers";
            Ok(Standing {
                live: live(connection)?,
                oldest_waiting: table(connection, OLDEST_WAITING, |row| {
                    Ok((row.get(0)?, time(row, 1)?))
                })?,
                owed: table(connection, OWED, |row| {
                    Ok((row.get(0)?, (row.get(1)?, time(row, 2)?)))
                })?,
                parked_runs: table(connection, PARKED_RUNS, |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?,
                parked_workspaces: table(connection, parked_workspaces, |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?,
                leftovers: connection
                    .prepare_cached(leftovers)?
                    .query_row([], |row| row.get(0))?,
            })
        })
        .await
    }
}

const OLDEST_WAITING: &str = "SELECT executor, min(accepted_at) FROM jobs \
     WHERE state IN ('accepted', 'exporting', 'queued') GROUP BY executor";

const OWED: &str = "SELECT j.workspace, count(*), min(r.created_at) FROM reports r JOIN jobs j ON j.seq = r.job \
     WHERE r.state = 'owed' GROUP BY j.workspace";

const PARKED_RUNS: &str = "SELECT u.workspace, count(*) FROM runs u WHERE u.parked AND EXISTS \
     (SELECT 1 FROM jobs j JOIN reports r ON r.job = j.seq WHERE j.workspace = u.workspace \
     AND j.model_run_id = u.model_run_id AND r.state = 'owed') GROUP BY u.workspace";

/// Each part of the live jobs by the index that holds it: those that have ended are not walked over.
fn live(connection: &Connection) -> Result<BTreeMap<(String, String), u64>, StoreError> {
    let parts = [
        "state IN ('accepted', 'exporting', 'queued')",
        "state IN ('submitting', 'pending', 'running')",
        "state = 'uploading' AND next_check_at IS NOT NULL",
    ];
    let mut live = BTreeMap::new();
    for part in parts {
        let sql =
            format!("SELECT model, state, count(*) FROM jobs WHERE {part} GROUP BY model, state");
        live.extend(table(connection, &sql, |row| {
            Ok(((row.get(0)?, row.get(1)?), row.get(2)?))
        })?);
    }
    Ok(live)
}

fn table<K: Ord, V>(
    connection: &Connection,
    sql: &str,
    read: fn(&Row<'_>) -> rusqlite::Result<(K, V)>,
) -> Result<BTreeMap<K, V>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
