//! The outbox as people see it: listed, sent again, dropped.

use jiff::Timestamp;
use rusqlite::Connection;

use super::{
    Store, StoreError,
    rows::{json, time},
    settle::mark,
};
use crate::job::{JobId, ModelRunId, Report};

/// Where a report stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportState {
    /// Waits to be sent.
    Owed,
    /// Waits, and its run or workspace is parked.
    Parked,
    /// Labelbox has it.
    Delivered,
    /// A later one told it, too.
    Merged,
    /// Given up, by a person or because the run does not exist.
    Dropped,
}

/// One report, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    /// Its number.
    pub id: i64,
    /// Its workspace.
    pub workspace: String,
    /// The run it is about.
    pub model_run_id: ModelRunId,
    /// The job it is about.
    pub job: JobId,
    /// What it says.
    pub report: Report,
    /// Where it stands.
    pub state: ReportState,
    /// When it became owed.
    pub created_at: Timestamp,
    /// Tries of its run that failed in a row.
    pub failures: u32,
    /// What Labelbox said last, or why it was dropped.
    pub error: Option<String>,
}

/// Who waits for a person, because Labelbox refuses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parked {
    /// Workspaces whose key is refused.
    pub workspaces: Vec<String>,
    /// Runs whose reports are refused, and still owed.
    pub runs: u32,
}

impl Store {
    /// Who is parked.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn parked(&self) -> Result<Parked, StoreError> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT name FROM workspaces WHERE parked IS NOT NULL ORDER BY name")?;
            let workspaces = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            let sql = "SELECT count(DISTINCT u.workspace || char(0) || u.model_run_id) FROM runs u JOIN jobs j \
                       ON j.workspace = u.workspace AND j.model_run_id = u.model_run_id JOIN reports r ON r.job = j.seq \
                       WHERE u.parked AND r.state = 'owed'";
            let runs = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
            Ok(Parked { workspaces, runs })
        })
        .await
    }

    /// Reports, the newest first: all, or those that Labelbox does not have yet.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn reports(&self, only_owed: bool, limit: u32) -> Result<Vec<ReportRow>, StoreError> {
        self.list_reports(None, only_owed, limit).await
    }

    /// What Labelbox was told of one job, the newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn reports_of(&self, job: JobId) -> Result<Vec<ReportRow>, StoreError> {
        self.list_reports(Some(job), false, 1000).await
    }

    async fn list_reports(
        &self,
        job: Option<JobId>,
        only_owed: bool,
        limit: u32,
    ) -> Result<Vec<ReportRow>, StoreError> {
        self.read(move |connection| {
            let sql = "SELECT r.id, j.workspace, j.model_run_id, j.id, r.report, r.state, r.created_at, \
                       coalesce(u.failures, 0), coalesce(r.note, w.parked, iif(r.state = 'owed', u.last_error, NULL)), \
                       coalesce(u.parked, 0) OR w.parked IS NOT NULL \
                       FROM reports r JOIN jobs j ON j.seq = r.job \
                       LEFT JOIN runs u ON u.workspace = j.workspace AND u.model_run_id = j.model_run_id \
                       LEFT JOIN workspaces w ON w.name = j.workspace \
                       WHERE (NOT ?1 OR r.state = 'owed') AND (?2 IS NULL OR j.id = ?2) ORDER BY r.id DESC LIMIT ?3";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map((only_owed, job.map(|id| id.to_string()), limit), report_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Makes a report's run due at once.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it is not owed, or the store cannot commit.
    pub async fn resend_report(&self, id: i64) -> Result<(), StoreError> {
        self.write(move |connection| {
            must_be_owed(connection, id)?;
            let sql = "UPDATE runs SET next_try_at = 0 WHERE (workspace, model_run_id) IN \
                       (SELECT j.workspace, j.model_run_id FROM reports r JOIN jobs j ON j.seq = r.job WHERE r.id = ?1)";
            connection.prepare_cached(sql)?.execute([id])?;
            let sql = "UPDATE workspaces SET next_try_at = 0 WHERE name IN \
                       (SELECT j.workspace FROM reports r JOIN jobs j ON j.seq = r.job WHERE r.id = ?1)";
            connection.prepare_cached(sql)?.execute([id])?;
            Ok(())
        })
        .await
    }

    /// Gives a report up.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it is not owed, or the store cannot commit.
    pub async fn drop_report(
        &self,
        id: i64,
        actor: String,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |connection| {
            must_be_owed(connection, id)?;
            mark(
                connection,
                id,
                "dropped",
                Some(&format!("dropped by {actor}")),
                now,
            )
        })
        .await
    }
}

fn must_be_owed(connection: &Connection, id: i64) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM reports WHERE id = ?1 AND state = 'owed'";
    match connection.prepare_cached(sql)?.exists([id])? {
        true => Ok(()),
        false => Err(StoreError::NotFound("owed report")),
    }
}

fn report_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<ReportRow> {
    let (run, job, state): (String, String, String) = (row.get(2)?, row.get(3)?, row.get(5)?);
    let parked: bool = row.get(9)?;
    let unreadable = |index| {
        rusqlite::Error::InvalidColumnType(index, "id".to_owned(), rusqlite::types::Type::Text)
    };
    Ok(ReportRow {
        id: row.get(0)?,
        workspace: row.get(1)?,
        model_run_id: run.parse().map_err(|_| unreadable(2))?,
        job: job.parse().map_err(|_| unreadable(3))?,
        report: json(row, 4)?,
        state: match (state.as_str(), parked) {
            ("owed", false) => ReportState::Owed,
            ("owed", true) => ReportState::Parked,
            ("delivered", _) => ReportState::Delivered,
            ("merged", _) => ReportState::Merged,
            _ => ReportState::Dropped,
        },
        created_at: time(row, 6)?,
        failures: row.get(7)?,
        error: row.get(8)?,
    })
}
