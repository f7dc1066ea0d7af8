//! While the command runs: wishes to stop it, and its end.

use std::{io, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    process::Child,
    runtime::Runtime,
    signal::unix::{self, SignalKind},
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};

use super::Lived;
use crate::{
    job_dir::{AttemptDir, CancelRequest, Limits, Request},
    process::ProcessId,
};

/// How often `cancel.json` is looked for.
const CANCEL_INTERVAL: Duration = Duration::from_millis(250);

/// How often it is seen whether the keeper lives.
const KEEPER_INTERVAL: Duration = Duration::from_millis(500);

/// Why a command was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopCause {
    /// By the server, in `cancel.json`.
    Cancel,
    /// By a signal to the supervisor: whoever sent it, it was not us.
    Signal,
    /// The engine's process that stands for the attempt has ended.
    KeeperLost,
    /// It ran too long.
    RunTimeout,
}

/// What asks a supervisor to stop its command, beside the server: signals, and the end of its keeper.
#[derive(Debug)]
pub(super) struct Signals {
    keeper: Option<ProcessId>,
    terminate: unix::Signal,
    interrupt: unix::Signal,
    // Listened to only so that a terminal that closes does not end us.
    _hangup: unix::Signal,
}

impl Signals {
    pub(super) fn listen(runtime: &Runtime, keeper: Option<ProcessId>) -> io::Result<Self> {
        let _entered = runtime.enter();
        Ok(Self {
            keeper,
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            _hangup: unix::signal(SignalKind::hangup())?,
        })
    }

    /// The next wish to stop.
    pub(super) async fn received(&mut self) -> StopCause {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => StopCause::Signal,
            _ = self.interrupt.recv() => StopCause::Signal,
            () = end_of(self.keeper) => StopCause::KeeperLost,
        }
    }
}

/// Returns when the keeper is gone; never where there is none.
async fn end_of(keeper: Option<ProcessId>) {
    let Some(keeper) = keeper else {
        return std::future::pending().await;
    };
    let mut interval = interval(KEEPER_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while keeper.is_alive() {
        interval.tick().await;
    }
}

/// Waits for the end of the command; on the first wish to stop, SIGTERM to its group, after the grace SIGKILL.
pub(super) async fn until_it_ends(
    dir: &AttemptDir,
    request: &Request,
    signals: Signals,
    child: &mut Child,
) -> Lived {
    let group = child.id();
    let mut stop = None;
    let mut killed_by_us = false;
    let mut wish = std::pin::pin!(wish(dir, &request.limits, signals));
    let patience = sleep(Duration::ZERO);
    let mut patience = std::pin::pin!(patience);
    loop {
        tokio::select! {
            biased;
            status = child.wait() => {
                let status = status.ok();
                return Lived { status, stop, killed_by_us, unlogged: Vec::new() };
            }
            (cause, grace) = &mut wish, if stop.is_none() => {
                stop = Some(cause);
                signal_group(group, Signal::TERM);
                patience.as_mut().reset(far(grace));
            }
            () = &mut patience, if stop.is_some() && !killed_by_us => {
                killed_by_us = true;
                signal_group(group, Signal::KILL);
                // It may have left its group.
                let _ = child.start_kill();
            }
        }
    }
}

/// The group is named by the command's pid, which stays taken as long as we have not waited for it.
fn signal_group(group: Option<u32>, signal: Signal) {
    let group = group.and_then(|pid| Pid::from_raw(pid.cast_signed()));
    if let Some(group) = group {
        // It can only have ended by itself, which the loop sees next.
        let _ = kill_process_group(group, signal);
    }
}

/// The first wish to stop, and the time between SIGTERM and SIGKILL.
async fn wish(dir: &AttemptDir, limits: &Limits, mut signals: Signals) -> (StopCause, Duration) {
    let grace = Duration::from_millis(limits.cancel_grace_ms);
    let run_timeout = limits.run_timeout_ms.map(Duration::from_millis);
    tokio::select! {
        request = cancelled(dir) => (StopCause::Cancel, Duration::from_millis(request.grace_ms)),
        cause = signals.received() => match read_cancel(dir).await {
            Some(request) => (StopCause::Cancel, Duration::from_millis(request.grace_ms)),
            None => (cause, grace),
        },
        () = sleep_until(far(run_timeout.unwrap_or(Duration::MAX))) => (StopCause::RunTimeout, grace),
    }
}

/// Returns when the server wishes the command to stop.
pub(super) async fn cancelled(dir: &AttemptDir) -> CancelRequest {
    let mut interval = interval(CANCEL_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if let Some(request) = read_cancel(dir).await {
            return request;
        }
    }
}

/// A file that cannot be read now is looked at again: a hiccup of a file system stops no training.
async fn read_cancel(dir: &AttemptDir) -> Option<CancelRequest> {
    let dir = dir.clone();
    let read = spawn_blocking(move || dir.read_cancel()).await;
    read.ok()?.ok().flatten()
}

/// A moment that the clock can name, however long the duration.
fn far(duration: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    Instant::now() + duration.min(YEAR * 30)
}
