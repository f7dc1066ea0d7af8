//! The one writer: closures that wait are run in one transaction and answered after its commit.
//!
//! Group commit turns thousands of durable writes a second into hundreds of fsyncs. A closure that fails before it
//! has written anything takes nothing with it. One that fails after that, and a full disk, which makes SQLite roll
//! back the whole transaction, undo the batch: its closures are then run again, one a transaction, which is why they
//! are `FnMut` and have no effect outside SQL. A savepoint for each closure would spare that, and cost every one of
//! them a copy of each page it touches.

mod batch;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use super::{StoreError, checkpointer::Checkpointer, folder::StateDir, meters::StoreMeters};
use batch::{Pending, Write, commit_together, fail_stop};

/// Writes that wait; more are refused, which Labelbox sees as a 503.
const QUEUE_LIMIT: usize = 4096;

/// Closures run in one transaction at most.
const BATCH_LIMIT: usize = 512;

/// Hands closures to the writer thread.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Write>>,
}

impl Writer {
    /// Starts the thread, which owns `folder` as long as something may still be written. `changes` is
    /// bumped after every commit that changed a row.
    pub(super) fn start(
        connection: Connection,
        checkpointer: Checkpointer,
        (changes, meters): (watch::Sender<u64>, Arc<StoreMeters>),
        folder: Arc<StateDir>,
    ) -> std::io::Result<Self> {
        let (queue, waiting) = mpsc::channel(QUEUE_LIMIT);
        let thread = std::thread::Builder::new().name("store-writer".to_owned());
        thread.spawn(move || {
            let served = catch_unwind(AssertUnwindSafe(|| {
                serve(connection, waiting, checkpointer, (&changes, &meters));
            }));
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
    mut checkpointer: Checkpointer,
    (changes, meters): (&watch::Sender<u64>, &StoreMeters),
) {
    while let Some(first) = waiting.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH_LIMIT
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        let rows_before = connection.total_changes();
        let begun = Instant::now();
        commit_together(&connection, batch);
        meters.commits.add(begun.elapsed());
        // Whoever looks for work by writing must not wake itself when there was none.
        let rows = connection.total_changes() - rows_before;
        if rows > 0 {
            changes.send_modify(|generation| *generation += 1);
            checkpointer.count(rows);
        }
    }
}

#[cfg(test)]
mod tests;
