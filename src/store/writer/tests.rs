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
