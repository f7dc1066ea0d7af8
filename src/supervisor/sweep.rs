//! After the command: everything that it left behind is ended, however it tried to hide.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use tokio::task::spawn_blocking;

use super::complain;
use crate::{
    job::LaunchId,
    process::{self, ProcessId, Session, Signal},
};

/// The first wait for killed processes to be gone; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How often it is said that something is still there.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// Returns when every process of the launch is gone, however long that takes: devices are handed on
/// only after that.
pub(super) async fn until_nothing_is_left(launch_id: LaunchId) {
    // Only a panic ends this early, and then the next look at the processes belongs to the server.
    let _ = spawn_blocking(move || sweep(launch_id)).await;
}

fn sweep(launch_id: LaunchId) {
    let mut pause = FIRST_PAUSE;
    let mut complained = Instant::now();
    loop {
        let left = leftovers(launch_id);
        if left.is_empty() {
            return;
        }
        for process in &left {
            // A process that cannot be killed is seen again in the next round, and complained about.
            let _ = process::kill(*process, Signal::KILL);
        }
        if complained.elapsed() >= COMPLAINT_INTERVAL {
            complained = Instant::now();
            let pids: Vec<u32> = left.iter().map(|process| process.pid).collect();
            complain(format_args!(
                "waiting for killed processes to be gone: {pids:?}"
            ));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Our descendants, whom we adopt when their parents end, and whoever bears the launch's mark.
fn leftovers(launch_id: LaunchId) -> BTreeSet<ProcessId> {
    process::reap_children(None);
    let session = Session::new(ProcessId::own(), Duration::ZERO);
    let mut left: BTreeSet<ProcessId> = process::descendants().into_iter().collect();
    left.extend(process::processes_of(&session, launch_id));
    left
}
