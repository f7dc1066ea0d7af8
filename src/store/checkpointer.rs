//! Moves what is committed from the log into the database, beside the writer: whoever waits for a commit does not wait
//! for that. When the log has grown all the same, the writer's own connection sees to it (`wal_autocheckpoint`).

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use rusqlite::{Connection, OpenFlags};

use super::folder::StateDir;

/// Rows between two checkpoints; about as many pages of log.
const ROWS: u64 = 1_000;

/// Tells the thread when there is enough to do; the thread ends when this is dropped.
#[derive(Debug)]
pub(super) struct Checkpointer {
    nudge: SyncSender<()>,
    rows: u64,
}

impl Checkpointer {
    /// Starts the thread for `file`, which owns `folder` as long as it may still write.
    pub(super) fn start(file: &Path, folder: Arc<StateDir>) -> io::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(file, flags).map_err(io::Error::other)?;
        // One nudge that waits is as good as many.
        let (nudge, nudges) = sync_channel(1);
        let thread = std::thread::Builder::new().name("checkpointer".to_owned());
        thread.spawn(move || {
            checkpoint_at_each(&connection, &nudges);
            drop(connection);
            drop(folder);
        })?;
        Ok(Self { nudge, rows: 0 })
    }

    /// Counts rows that were committed.
    pub(super) fn count(&mut self, rows: u64) {
        self.rows += rows;
        if self.rows >= ROWS {
            self.rows = 0;
            let _enough_are_waiting = self.nudge.try_send(());
        }
    }
}

fn checkpoint_at_each(connection: &Connection, nudges: &Receiver<()>) {
    while nudges.recv().is_ok() {
        // Passive: it waits for nobody and holds nobody up.
        let checkpoint = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = checkpoint {
            // Nothing is lost: the log keeps what did not get into the database.
            tracing::debug!("the store's log could not be emptied: {error}");
        }
    }
}
