//! The store: the only SQL. Everything acknowledged is a row, and the rows are the queue.
//!
//! SQLite in WAL mode with `synchronous=FULL`. One writer thread commits in groups; readers have
//! connections of their own. A state change, its timeline entry and the report it owes are one transaction.

mod accept;
mod backup;
mod begin;
mod checkpointer;
mod exports;
mod folder;
mod imports;
mod jobs;
mod leftovers;
mod limits;
mod meters;
mod open;
mod outbox;
mod queue;
mod read_back;
mod readers;
mod reports;
mod restored;
mod retention;
mod rows;
mod settle;
mod writer;

use std::{path::PathBuf, sync::Arc};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::watch;

use crate::job::IllegalChange;
use readers::Readers;
use writer::Writer;

pub use accept::{Acceptance, NewJob};
pub use backup::BackupError;
pub use exports::ExportRow;
pub use imports::ImportRow;
pub use jobs::{Filter, TimelineRow};
pub use leftovers::Leftover;
pub use limits::SpendingLimit;
pub use meters::{Standing, StoreMeters};
pub use open::OpenError;
pub use outbox::{Delivery, OwedRun};
pub use queue::{JobCounts, Slots};
pub use reports::{Parked, ReportRow, ReportState};
pub use restored::Adoption;
pub use retention::Prunable;
pub use settle::{Park, Postponed, Settlement};

/// The database of one server. Cheap to clone; all clones share one writer.
#[derive(Debug, Clone)]
pub struct Store {
    writer: Writer,
    readers: Readers,
    changes: watch::Sender<u64>,
    server_id: String,
    restored_from: Option<jiff::Timestamp>,
    meters: Arc<StoreMeters>,
    file: PathBuf,
}

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// More writes wait than the queue holds, or the store is closing. Try again.
    #[error("the store is busy: try again")]
    Busy,
    /// Nothing was written: the disk is full, or the database does not answer. Try again.
    #[error("the store cannot commit: {0}")]
    Unavailable(String),
    /// The row has changed since the caller read it: read it again.
    #[error("the job has changed in the meantime")]
    Stale,
    /// There is no such row.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The state machine refuses.
    #[error(transparent)]
    Illegal(#[from] IllegalChange),
    /// A row that cannot be understood.
    #[error("the store holds a row that cannot be read: {0}")]
    Corrupt(String),
    /// A bug of ours inside a write; nothing of it was written.
    #[error("a write to the store panicked")]
    Panicked,
}

impl StoreError {
    fn from_sql(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Unavailable("the disk is full".to_owned()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::FromSqlConversionFailure(_, _, source) => {
                Self::Corrupt(source.to_string())
            }
            error => Self::from_sql(&error),
        }
    }
}

impl Store {
    /// Seen to change after every commit that changed a row.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Random, made with the database: what we create on engines bears it.
    #[must_use]
    pub fn server_id(&self) -> &str {
        &self.server_id
    }

    async fn write<T, F>(&self, closure: F) -> Result<T, StoreError>
    where
        F: FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        self.writer.write(closure).await
    }

    async fn read<T, F>(&self, closure: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        self.readers.read(closure).await
    }
}
