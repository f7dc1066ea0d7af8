//! The sign of life: a counter in a file, never the file's time, which other machines see differently.

use tokio::task::{JoinHandle, spawn_blocking};

use crate::{
    job_dir::{AttemptDir, HEARTBEAT_INTERVAL},
    process,
};

/// Counts on until aborted; between beats, adopted children that ended are waited for.
/// `command` is left to the one who waits for it.
pub(super) fn start(dir: &AttemptDir, command: Option<u32>) -> JoinHandle<()> {
    let dir = dir.clone();
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(HEARTBEAT_INTERVAL);
        for count in 1.. {
            interval.tick().await;
            let dir = dir.clone();
            let beat = move || {
                // A beat that cannot be written is one that is not seen: that is what it is for.
                let _ = dir.write_heartbeat(count);
                process::reap_children(command);
            };
            if spawn_blocking(beat).await.is_err() {
                return;
            }
        }
    })
}
