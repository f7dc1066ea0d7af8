//! The sign of life: a counter in a file, never the file's time, which other machines see differently.

use std::{fs::OpenOptions, io, os::unix::fs::FileExt, path::Path};

use tokio::task::{JoinHandle, spawn_blocking};

use crate::{
    job_dir::{AttemptDir, HEARTBEAT_INTERVAL},
    process,
};

/// Counts on until aborted; between beats, adopted children that ended are waited for.
/// `command` is left to the one who waits for it.
pub(super) fn start(dir: &AttemptDir, command: Option<u32>) -> JoinHandle<()> {
    let path = dir.heartbeat();
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(HEARTBEAT_INTERVAL);
        for count in 1.. {
            interval.tick().await;
            let path = path.clone();
            let beat = move || {
                // A beat that cannot be written is one that is not seen: that is what it is for.
                let _ = write(&path, count);
                process::reap_children(command);
            };
            if spawn_blocking(beat).await.is_err() {
                return;
            }
        }
    })
}

/// Always the same number of bytes in the same place: needs no room on a full disk and is never seen half.
fn write(path: &Path, count: u64) -> io::Result<()> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    file.write_all_at(format!("{count:020}\n").as_bytes(), 0)
}
