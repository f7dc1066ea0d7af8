//! The one writer: closures that wait are run in one transaction and answered after its commit.
//!
//! Group commit turns thousands of durable writes a second into hundreds of fsyncs. A closure that fails before it
//! has written anything takes nothing with it. One that fails after that, and a full disk, which makes SQLite roll
//! back the whole transaction, undo the batch: its closures are then run again, one a transaction, which is why they
//! are `FnMut` and have no effect outside SQL. A savepoint for each closure would spare that, and cost every one of
//! them a copy of each page it touches.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot, watch};

use super::{StoreError, checkpointer::Checkpointer, folder::StateDir, meters::StoreMeters};

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
    /// Runs the closure; false when it failed, and so must have no part in what is committed.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Tells the caller, once and for all, what became of the transaction.
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

/// Why nothing of a batch is on disk.
enum Undone {
    /// A closure failed after it had written something, or SQLite undid the transaction under it.
    Closure,
    /// The transaction could not be begun or committed.
    Sql(rusqlite::Error),
}

fn commit_together(connection: &Connection, mut batch: Vec<Box<dyn Write>>) {
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

fn fail_stop(reason: &str) -> ! {
    tracing::error!(
        "{reason}; the server ends here, and its next start recovers from what is on disk"
    );
    std::process::exit(EXIT_STORE_BROKEN)
}

#[cfg(test)]
mod tests {
    //! From outside no closure can be made to panic, and no disk to be full for one of a batch alone.

    use std::{path::Path, time::Duration};

    use super::*;

    fn writer(folder: &Path) -> Writer {
        let connection = Connection::open(folder.join("w.db")).expect("it opens");
        connection
            .execute_batch("CREATE TABLE t (x)")
            .expect("it is written");
        let own = Arc::new(StateDir::own(folder).expect("nobody else has it"));
        let checkpointer = Checkpointer::start(&folder.join("w.db"), Arc::clone(&own));
        let checkpointer = checkpointer.expect("a thread");
        let told = (watch::Sender::new(0), Arc::default());
        Writer::start(connection, checkpointer, told, own).expect("a thread")
    }

    /// How the writes of one batch ended, and what is in the table.
    type Ended = (Vec<Result<(), StoreError>>, Vec<i64>);

    /// Writes 0 to 9 as one batch; 5 writes first, and then fails as `fail` does.
    async fn write_ten(
        fail: impl Fn(&Connection) -> Result<(), StoreError> + Copy + Send + 'static,
    ) -> Ended {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let writer = writer(folder.path());
        write_ten_with(&writer, fail).await
    }

    async fn write_ten_with(
        writer: &Writer,
        fail: impl Fn(&Connection) -> Result<(), StoreError> + Copy + Send + 'static,
    ) -> Ended {
        let busy = writer.write(|_| {
            // The ten are waiting when this is over, so they are one batch.
            std::thread::sleep(Duration::from_millis(300));
            Ok(())
        });
        let writes = (0..10).map(|x| {
            writer.write(move |connection| {
                connection.execute("INSERT INTO t VALUES (?1)", [x])?;
                if x == 5 { fail(connection) } else { Ok(()) }
            })
        });
        let (_, results) = tokio::join!(busy, futures_util::future::join_all(writes));
        let read = |connection: &Connection| {
            let mut rows = connection.prepare("SELECT x FROM t ORDER BY x")?;
            let rows = rows.query_map([], |row| row.get(0))?;
            Ok(rows.collect::<Result<Vec<i64>, _>>()?)
        };
        let rows = writer.write(read).await.expect("it is readable");
        (results, rows)
    }

    #[tokio::test]
    async fn what_does_not_fit_into_the_queue_is_refused_at_once() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let writer = writer(folder.path());
        let (begun, begins) = oneshot::channel();
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let mut begun = Some(begun);
        let busy = tokio::spawn({
            let writer = writer.clone();
            async move {
                let hold_up = move |_: &Connection| {
                    begun.take().map(|begun| begun.send(()));
                    // Until the other end is dropped.
                    let _dropped = held.recv();
                    Ok(())
                };
                writer.write(hold_up).await
            }
        });
        begins.await.expect("it begins");
        let writes = (0..QUEUE_LIMIT + 10).map(|_| writer.write(|_| Ok(())));
        let all_wait = async { drop(hold) };
        let (results, ()) = tokio::join!(futures_util::future::join_all(writes), all_wait);
        let refused = results
            .iter()
            .filter(|result| **result == Err(StoreError::Busy));
        assert_eq!(refused.count(), 10);
        assert_eq!(
            results.iter().filter(|result| result.is_ok()).count(),
            QUEUE_LIMIT
        );
        assert_eq!(busy.await.expect("no panic"), Ok(()));
    }

    #[tokio::test]
    async fn a_closure_that_panics_takes_nothing_of_its_batch_with_it() {
        let (results, rows) = write_ten(|_| panic!("a bug")).await;
        assert_eq!(results[5], Err(StoreError::Panicked));
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 9);
        assert_eq!(rows, [0, 1, 2, 3, 4, 6, 7, 8, 9]);
    }

    #[tokio::test]
    async fn a_closure_that_fails_after_it_wrote_leaves_nothing_behind() {
        let (results, rows) = write_ten(|_| Err(StoreError::Stale)).await;
        assert_eq!(results[5], Err(StoreError::Stale));
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 9);
        assert_eq!(rows, [0, 1, 2, 3, 4, 6, 7, 8, 9]);
    }

    /// SQLite undoes the whole transaction then, and would run what follows outside of any.
    #[tokio::test]
    async fn a_disk_that_is_full_in_the_middle_of_a_batch_refuses_only_what_does_not_fit() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let writer = writer(folder.path());
        let bound = |pages: u32| {
            writer.write(move |connection| {
                let pragma = format!("PRAGMA max_page_count = {pages}");
                Ok(connection.query_row(&pragma, [], |_| Ok(()))?)
            })
        };
        bound(20).await.expect("a bound");
        let too_much = |connection: &Connection| {
            connection.execute("INSERT INTO t VALUES (zeroblob(200000))", [])?;
            Ok(())
        };
        let (results, rows) = write_ten_with(&writer, too_much).await;
        let full = Err(StoreError::Unavailable("the disk is full".to_owned()));
        assert_eq!(results[5], full);
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 9);
        assert_eq!(rows, [0, 1, 2, 3, 4, 6, 7, 8, 9]);
        bound(1000).await.expect("room");
        let fits = writer.write(move |connection| too_much(connection)).await;
        assert_eq!(fits, Ok(()));
    }

    #[tokio::test]
    async fn a_closure_that_hides_a_full_disk_is_not_believed() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let writer = writer(folder.path());
        let hidden = writer.write(|connection| {
            connection.query_row("PRAGMA max_page_count = 20", [], |_| Ok(()))?;
            let full = connection.execute("INSERT INTO t VALUES (zeroblob(200000))", []);
            assert!(full.is_err());
            Ok(())
        });
        assert!(matches!(hidden.await, Err(StoreError::Unavailable(_))));
    }
}
