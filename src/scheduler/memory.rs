//! What a loop remembers of an attempt between two looks. Durations that matter while we live are
//! measured on the monotonic clock; after a start everything is measured anew.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::job::LaunchId;

/// All attempts of one loop.
#[derive(Debug, Default)]
pub(super) struct Memory {
    attempts: HashMap<LaunchId, Remembered>,
}

/// One attempt.
#[derive(Debug, Default, Clone)]
pub(super) struct Remembered {
    heartbeat: Option<(u64, Instant)>,
    first_look: Option<Instant>,
    record_seen: Option<Instant>,
    unanswered_since: Option<Instant>,
    untold: bool,
    told_at: Option<Instant>,
    pub(super) unclaimed: Option<String>,
    unclaimed_since: Option<Instant>,
    running_seen: Option<Instant>,
    stop_seen: Option<Instant>,
    asks_to_end: bool,
    /// Why the engine did not end it when it was last asked to.
    pub(super) refusal: Option<String>,
    failures: u32,
}

impl Memory {
    pub(super) fn of(&mut self, launch: LaunchId) -> &mut Remembered {
        self.attempts.entry(launch).or_default()
    }

    /// What is remembered already.
    pub(super) fn known(&mut self, launch: LaunchId) -> Option<&mut Remembered> {
        self.attempts.get_mut(&launch)
    }

    pub(super) fn forget(&mut self, launch: LaunchId) {
        self.attempts.remove(&launch);
    }
}

impl Remembered {
    /// Takes the heartbeat's counter; answers how long it has not moved.
    pub(super) fn silence(&mut self, counter: Option<u64>) -> Duration {
        let first_look = *self.first_look.get_or_insert_with(Instant::now);
        match (counter, self.heartbeat) {
            (Some(counter), Some((before, since))) if counter == before => since.elapsed(),
            (Some(counter), _) => {
                self.heartbeat = Some((counter, Instant::now()));
                Duration::ZERO
            }
            (None, _) => first_look.elapsed(),
        }
    }

    /// How long the exit record has been seen.
    pub(super) fn record_age(&mut self) -> Duration {
        self.record_seen.get_or_insert_with(Instant::now).elapsed()
    }

    /// Notes that the engine was asked; answers for how long it has been asked in vain.
    pub(super) fn unanswered(&mut self, answered: bool) -> Duration {
        if answered {
            self.unanswered_since = None;
            return Duration::ZERO;
        }
        self.unanswered_since
            .get_or_insert_with(Instant::now)
            .elapsed()
    }

    /// Whether progress is to be told now: there was news since it was last told, and the interval is over.
    pub(super) fn may_report(&mut self, news: bool, interval: Duration) -> bool {
        self.untold |= news;
        let may = self.untold && self.told_at.is_none_or(|at| at.elapsed() >= interval);
        if may {
            (self.untold, self.told_at) = (false, Some(Instant::now()));
        }
        may
    }

    /// How long it has been seen running by this process.
    pub(super) fn running_for(&mut self) -> Duration {
        self.running_seen.get_or_insert_with(Instant::now).elapsed()
    }

    /// Notes whether the engine runs it while nobody has claimed; answers for how long.
    pub(super) fn unclaimed_for(&mut self, runs: bool) -> Duration {
        if !runs {
            (self.unclaimed_since, self.unclaimed) = (None, None);
            return Duration::ZERO;
        }
        self.unclaimed_since
            .get_or_insert_with(Instant::now)
            .elapsed()
    }

    /// How long a wish to stop has been known here.
    pub(super) fn stopping_for(&mut self) -> Duration {
        self.stop_seen.get_or_insert_with(Instant::now).elapsed()
    }

    /// Whether the engine may be asked to end it, which it is from then on until [`asked_to_end`](Self::asked_to_end).
    pub(super) fn may_ask_to_end(&mut self) -> bool {
        !std::mem::replace(&mut self.asks_to_end, true)
    }

    pub(super) fn asked_to_end(&mut self, refusal: Option<String>) {
        (self.asks_to_end, self.refusal) = (false, refusal);
    }

    /// Counts a failed call; answers how many there were in a row.
    pub(super) fn count_failure(&mut self) -> u32 {
        self.failures += 1;
        self.failures
    }

    pub(super) fn clear_failures(&mut self) {
        self.failures = 0;
    }
}
