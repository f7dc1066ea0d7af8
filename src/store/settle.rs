//! What became of a delivery, written down.

use jiff::Timestamp;
use rusqlite::Connection;

use super::{Delivery, Store, StoreError, rows::millis};

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
    Postponed(Postponed),
    /// Labelbox confirmed that the run does not exist: all its reports end.
    Ended {
        /// Why, for people.
        note: String,
    },
}

/// Why a delivery waits, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postponed {
    /// Why.
    pub error: String,
    /// Tried again then.
    pub next_try_at: Timestamp,
    /// Who waits.
    pub park: Park,
    /// The whole workspace waits, as after a rate limit.
    pub whole_workspace: bool,
    /// It may be applied all the same, later.
    pub ambiguous: bool,
}

impl Store {
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
}

fn settle(
    connection: &Connection,
    delivery: &Delivery,
    settlement: &Settlement,
    now: Timestamp,
) -> Result<(), StoreError> {
    let run = (delivery.workspace.as_str(), delivery.model_run_id.as_str());
    connection
        .prepare_cached("INSERT OR IGNORE INTO runs (workspace, model_run_id) VALUES (?1, ?2)")?
        .execute(run)?;
    match settlement {
        Settlement::Delivered { note, read_back_at } => {
            mark_delivered(connection, &delivery.rows, note.as_deref(), now)?;
            release(connection, run, *read_back_at, now)
        }
        Settlement::Postponed(postponed) => postpone(connection, run, postponed, now),
        Settlement::Ended { note } => end(connection, run, note, now),
    }
}

/// All rows went out as one; the last is the one that Labelbox now holds.
fn mark_delivered(
    connection: &Connection,
    rows: &[i64],
    note: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (last, merged) = rows.split_last().ok_or(StoreError::NotFound("report"))?;
    for id in merged {
        mark(connection, *id, "merged", None, now)?;
    }
    mark(connection, *last, "delivered", note, now)
}

/// Labelbox takes reports of this run, and so of its workspace.
fn release(
    connection: &Connection,
    run: (&str, &str),
    read_back_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE runs SET failures = 0, next_try_at = 0, last_error = NULL, parked = 0, read_back_at = ?3 \
               WHERE workspace = ?1 AND model_run_id = ?2";
    connection
        .prepare_cached(sql)?
        .execute((run.0, run.1, read_back_at.map(millis)))?;
    // A call from before a rate limit does not end it.
    let sql =
        "DELETE FROM workspaces WHERE name = ?1 AND (parked IS NOT NULL OR next_try_at <= ?2)";
    connection
        .prepare_cached(sql)?
        .execute((run.0, millis(now)))?;
    Ok(())
}

fn postpone(
    connection: &Connection,
    run: (&str, &str),
    postponed: &Postponed,
    now: Timestamp,
) -> Result<(), StoreError> {
    let next_try_at = millis(postponed.next_try_at);
    let sql = "UPDATE runs SET failures = failures + 1, next_try_at = ?3, last_error = ?4, parked = ?5, \
               ambiguous_at = iif(?6, ?7, ambiguous_at) WHERE workspace = ?1 AND model_run_id = ?2";
    let error = &postponed.error;
    let parked = postponed.park == Park::Run;
    // A refused key is the workspace's matter: the run waits with the others, and no longer than they.
    let run_waits_until = match postponed.park {
        Park::Workspace => 0,
        Park::No | Park::Run => next_try_at,
    };
    connection.prepare_cached(sql)?.execute((
        run.0,
        run.1,
        run_waits_until,
        error,
        parked,
        postponed.ambiguous,
        millis(now),
    ))?;
    let workspace_parked = postponed.park == Park::Workspace;
    if postponed.whole_workspace || workspace_parked {
        let reason = workspace_parked.then_some(error);
        let sql =
            "INSERT OR REPLACE INTO workspaces (name, next_try_at, parked) VALUES (?1, ?2, ?3)";
        connection
            .prepare_cached(sql)?
            .execute((run.0, next_try_at, reason))?;
    }
    Ok(())
}

fn end(
    connection: &Connection,
    run: (&str, &str),
    note: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE reports SET state = 'dropped', settled_at = ?3, note = ?4 \
               WHERE state = 'owed' AND job IN \
               (SELECT seq FROM jobs WHERE workspace = ?1 AND model_run_id = ?2)";
    connection
        .prepare_cached(sql)?
        .execute((run.0, run.1, millis(now), note))?;
    let sql = "UPDATE runs SET failures = 0, next_try_at = 0, parked = 0, last_error = ?3, read_back_at = NULL \
               WHERE workspace = ?1 AND model_run_id = ?2";
    connection
        .prepare_cached(sql)?
        .execute((run.0, run.1, note))?;
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
