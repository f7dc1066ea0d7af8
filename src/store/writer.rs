//! The one writer: closures that wait are run in one transaction and answered after its commit.
//!
//! Group commit turns thousands of durable writes a second into hundreds of fsyncs. Each closure has a
//! savepoint of its own, so one that fails takes nothing with it. SQLite rolls back the whole
//! transaction on a full disk and on some other errors; closures that ran before are then run again,
//! one a transaction, which is why they are `FnMut` and have no effect outside SQL.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot, watch};

use super::{StoreError, folder::StateDir};

/// Writes that wait; more are refused, which Labelbox sees as a 503.
const QUEUE_LIMIT: usize = 4096;

/// Closures run in one transaction at most.
const BATCH_LIMIT: usize = 512;

/// The exit code of a process that cannot trust its store any more.
const EXIT_STORE_BROKEN: i32 = 70;

/// Hands closures to the writer thread.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Write>>,
}

/// A closure with a place for its answer, its types hidden from the thread.
trait Write: Send {
    /// Runs the closure; false when it failed and must be rolled back.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Tells the caller, once and for all.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Pending<F, T> {
    closure: F,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
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
        let result = match (committed, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(StoreError::Panicked),
            (Err(error), _) => Err(error),
        };
        // A caller that no longer waits has lost its connection; the write stands all the same.
        let _ = self.reply.send(result);
    }
}

impl Writer {
    /// Starts the thread, which owns `folder` as long as something may still be written. `changes` is
    /// bumped after every commit that changed a row.
    pub(super) fn start(
        connection: Connection,
        changes: watch::Sender<u64>,
        folder: Arc<StateDir>,
    ) -> std::io::Result<Self> {
        let (queue, waiting) = mpsc::channel(QUEUE_LIMIT);
        let thread = std::thread::Builder::new().name("store-writer".to_owned());
        thread.spawn(move || {
            let served = catch_unwind(AssertUnwindSafe(|| serve(connection, waiting, &changes)));
            if served.is_err() {
                fail_stop("the store's writer panicked");
            }
            drop(folder);
        })?;
        Ok(Self { queue })
    }

    /// Runs `closure` in a transaction; returns when it is committed.
    pub(super) async fn write<T, F>(&self, closure: F) -> Result<T, StoreError>
    where
        F: FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let pending = Pending {
            closure,
            result: None,
            reply,
        };
        self.queue
            .try_send(Box::new(pending))
            .map_err(|_| StoreError::Busy)?;
        answer.await.map_err(|_| StoreError::Busy)?
    }
}

fn serve(
    connection: Connection,
    mut waiting: mpsc::Receiver<Box<dyn Write>>,
    changes: &watch::Sender<u64>,
) {
    while let Some(first) = waiting.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH_LIMIT
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        let rows_before = connection.total_changes();
        commit_together(&connection, batch);
        // Whoever looks for work by writing must not wake itself when there was none.
        if connection.total_changes() != rows_before {
            changes.send_modify(|generation| *generation += 1);
        }
    }
}

fn commit_together(connection: &Connection, mut batch: Vec<Box<dyn Write>>) {
    match run_batch(connection, &mut batch) {
        Ok(()) => batch.into_iter().for_each(|write| write.answer(Ok(()))),
        // Nothing of the batch is on disk: each may still succeed, or fail, on its own.
        Err(_) if batch.len() > 1 => batch
            .into_iter()
            .for_each(|write| commit_alone(connection, write)),
        Err(error) => batch
            .into_iter()
            .for_each(|write| write.answer(Err(StoreError::from_sql(&error)))),
    }
}

fn commit_alone(connection: &Connection, write: Box<dyn Write>) {
    let mut batch = vec![write];
    let committed = run_batch(connection, &mut batch);
    for write in batch {
        write.answer(committed.as_ref().copied().map_err(StoreError::from_sql));
    }
}

/// Runs all closures in one transaction and commits. After an error nothing of it is on disk.
fn run_batch(connection: &Connection, batch: &mut [Box<dyn Write>]) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let ran = batch.iter_mut().try_for_each(|write| {
        connection.prepare_cached("SAVEPOINT one")?.execute([])?;
        let succeeded = write.run(connection);
        if connection.is_autocommit() {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL),
                None,
            ));
        }
        if !succeeded {
            connection.prepare_cached("ROLLBACK TO one")?.execute([])?;
        }
        connection
            .prepare_cached("RELEASE one")?
            .execute([])
            .map(drop)
    });
    ran.and_then(|()| commit(connection)).inspect_err(|_| {
        if !connection.is_autocommit() && connection.execute_batch("ROLLBACK").is_err() {
            fail_stop("the store can neither commit nor roll back");
        }
    })
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

fn fail_stop(reason: &str) -> ! {
    tracing::error!(
        "{reason}; the server ends here, and its next start recovers from what is on disk"
    );
    std::process::exit(EXIT_STORE_BROKEN)
}
