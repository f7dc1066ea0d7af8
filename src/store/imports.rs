//! The chunks of predictions that go to Labelbox: each is written ahead, so that a restart finds the import it began.

use jiff::Timestamp;
use rusqlite::{Connection, Row};

use super::{
    Store, StoreError,
    rows::{millis, optional_time, word},
};
use crate::job::{ImportState, Job};

/// One chunk of a job's predictions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRow {
    /// Its number; the first is 1.
    pub chunk: u32,
    /// What Labelbox calls its import; one of each for a model run.
    pub name: String,
    /// How many predictions it holds.
    pub lines: u64,
    /// How far it is.
    pub state: ImportState,
    /// When it was last sent, or may have been.
    pub posted_at: Option<Timestamp>,
    /// How many of its lines Labelbox did not take, once that is known.
    pub refused: Option<u64>,
    /// Why, for people.
    pub note: Option<String>,
}

impl Store {
    /// The chunks of a job's predictions, in order; none before they were frozen.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn imports(&self, job: &Job) -> Result<Vec<ImportRow>, StoreError> {
        let seq = job.seq;
        self.read(move |connection| {
            let sql = "SELECT chunk, name, lines, state, posted_at, refused, note FROM imports WHERE job = ?1 ORDER BY chunk";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([seq], import_from_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Notes how far these chunks are.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn save_imports(&self, job: &Job, rows: Vec<ImportRow>) -> Result<(), StoreError> {
        let seq = job.seq;
        self.write(move |connection| save(connection, seq, &rows))
            .await
    }

    /// Notes how far a chunk is, with a line in the job's timeline if that is worth one. The job itself may have
    /// changed meanwhile: what was sent was sent.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn record_import(
        &self,
        job: &Job,
        row: ImportRow,
        told: Option<String>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (seq, noted) = (job.seq, row.clone());
        let written = self.write(move |connection| {
            save(connection, seq, std::slice::from_ref(&noted))?;
            if let Some(told) = &told {
                let sql =
                    "INSERT INTO timeline (job, at, event, detail) VALUES (?1, ?2, 'import', ?3)";
                let mut statement = connection.prepare_cached(sql)?;
                statement.execute((seq, millis(now), told))?;
            }
            Ok(())
        });
        written.await?;
        self.meters.count_import(&row);
        Ok(())
    }
}

fn save(connection: &Connection, seq: i64, rows: &[ImportRow]) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO imports (job, chunk, name, lines, state, posted_at, refused, note) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let mut statement = connection.prepare_cached(sql)?;
    for row in rows {
        let (lines, refused) = (whole(row.lines), row.refused.map(whole));
        let (state, posted_at) = (row.state.as_str(), row.posted_at.map(millis));
        statement.execute((
            seq, row.chunk, &row.name, lines, state, posted_at, refused, &row.note,
        ))?;
    }
    Ok(())
}

fn import_from_row(row: &Row<'_>) -> rusqlite::Result<ImportRow> {
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    Ok(ImportRow {
        chunk: row.get(0)?,
        name: row.get(1)?,
        lines: count(row.get(2)?),
        state: word(row, 3)?,
        posted_at: optional_time(row, 4)?,
        refused: row.get::<_, Option<i64>>(5)?.map(count),
        note: row.get(6)?,
    })
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
