//! A batch: closures in one transaction, each of them answered with what became of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use crate::store::StoreError;

/// The exit code of a process that cannot trust its store any more.
const EXIT_STORE_BROKEN: i32 = 70;

/// A closure with a place for its answer, its types hidden from the thread.
pub(super) trait Write: Send {
    /// Runs the closure; false when it failed, and so must have no part in what is committed.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Tells the caller, once and for all, what became of the transaction.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

pub(super) struct Pending<F, T> {
    pub(super) closure: F,
    pub(super) result: Option<Result<T, StoreError>>,
    pub(super) reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Write for Pending<F, T>
where
    F: FnMut(&Connection) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let ran = catch_unwind(AssertUnwindSafe(|| (self.closure)(connection)));
        let result = ran.unwrap_or(Err(StoreError::Panicked));
        let succeeded = result.is_ok();
        self.result = Some(result);
        succeeded
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        // Its own reason says more than what became of the transaction for it.
        let result = match self.result {
            Some(Ok(value)) => committed.map(|()| value),
            Some(Err(error)) => Err(error),
            None => Err(committed.err().unwrap_or(StoreError::Panicked)),
        };
        // A caller that no longer waits has lost its connection; the write stands all the same.
        let _ = self.reply.send(result);
    }
}

/// Why nothing of a batch is on disk.
enum Undone {
    /// A closure failed after it had written something, or SQLite undid the transaction under it.
    Closure,
    /// The transaction could not be begun or committed.
    Sql(rusqlite::Error),
}

pub(super) fn commit_together(connection: &Connection, mut batch: Vec<Box<dyn Write>>) {
    match run_batch(connection, &mut batch) {
        Ok(()) => batch.into_iter().for_each(|write| write.answer(Ok(()))),
        // Nothing of the batch is on disk: each may still succeed, or fail, on its own.
        Err(_) if batch.len() > 1 => batch
            .into_iter()
            .for_each(|write| commit_together(connection, vec![write])),
        Err(Undone::Closure) => batch.into_iter().for_each(|write| {
            let undone = StoreError::Unavailable("the transaction was undone".to_owned());
            write.answer(Err(undone));
        }),
        Err(Undone::Sql(error)) => batch
            .into_iter()
            .for_each(|write| write.answer(Err(StoreError::from_sql(&error)))),
    }
}

/// Runs all closures in one transaction and commits. After an error nothing of it is on disk.
fn run_batch(connection: &Connection, batch: &mut [Box<dyn Write>]) -> Result<(), Undone> {
    let begun = connection.prepare_cached("BEGIN IMMEDIATE");
    begun
        .and_then(|mut begin| begin.execute([]))
        .map_err(Undone::Sql)?;
    let ran = batch
        .iter_mut()
        .try_for_each(|write| run_one(connection, &mut **write));
    ran.and_then(|()| commit(connection).map_err(Undone::Sql))
        .inspect_err(|_| {
            if !connection.is_autocommit() && connection.execute_batch("ROLLBACK").is_err() {
                fail_stop("the store can neither commit nor roll back");
            }
        })
}

/// A closure that fails has no part in the transaction: either it has written nothing, or all is undone.
fn run_one(connection: &Connection, write: &mut dyn Write) -> Result<(), Undone> {
    let rows_before = connection.total_changes();
    let succeeded = write.run(connection);
    let has_written = connection.total_changes() != rows_before;
    match connection.is_autocommit() || (has_written && !succeeded) {
        true => Err(Undone::Closure),
        false => Ok(()),
    }
}

/// An I/O error at commit means that nobody knows what is on disk: the process ends, and the next
/// start recovers from the log. It never goes on with this connection.
fn commit(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("COMMIT").inspect_err(|error| {
        if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) {
            fail_stop(&format!("the store failed to commit: {error}"));
        }
    })
}

pub(super) fn fail_stop(reason: &str) -> ! {
    tracing::error!(
        "{reason}; the server ends here, and its next start recovers from what is on disk"
    );
    std::process::exit(EXIT_STORE_BROKEN)
}
