//! How many calls may be made: Labelbox counts them by the minute, ours and those of people together.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A refusal that names no wait holds up bulk for this long.
const UNNAMED_PAUSE: Duration = Duration::from_secs(10);

/// Calls of one workspace. Whatever people wait for is called at once; bulk waits its turn, and leaves a reserve.
#[derive(Debug)]
pub(super) struct Budget {
    per_minute: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Calls that may be made now; below zero where others than bulk have made more.
    left: f64,
    counted_at: Instant,
    paused_until: Option<Instant>,
}

impl Budget {
    pub(super) fn new(per_minute: u32) -> Self {
        let state = State {
            left: most(per_minute),
            counted_at: Instant::now(),
            paused_until: None,
        };
        Self {
            per_minute,
            state: Mutex::new(state),
        }
    }

    pub(super) const fn per_minute(&self) -> u32 {
        self.per_minute
    }

    /// Counts a call that waits for nobody.
    pub(super) fn take(&self) {
        let mut state = self.counted(Instant::now());
        state.left = (state.left - 1.0).max(-most(self.per_minute));
    }

    /// Waits until a call of bulk may be made, and counts it.
    pub(super) async fn wait_for_turn(&self) {
        while let Some(wait) = self.take_or_wait(Instant::now()) {
            tokio::time::sleep(wait).await;
        }
    }

    /// Labelbox wants fewer calls: bulk makes none for this long.
    pub(super) fn pause(&self, named: Option<Duration>) {
        let now = Instant::now();
        let until = now.checked_add(named.unwrap_or(UNNAMED_PAUSE));
        let mut state = self.counted(now);
        state.paused_until = state.paused_until.max(until);
    }

    /// How long to wait before asking again; none if a call was counted.
    fn take_or_wait(&self, now: Instant) -> Option<Duration> {
        let mut state = self.counted(now);
        if let Some(until) = state.paused_until.filter(|until| *until > now) {
            return Some(until.duration_since(now));
        }
        state.paused_until = None;
        // A quarter is for those that wait for nobody.
        let missing = most(self.per_minute) / 4.0 + 1.0 - state.left;
        if missing > 0.0 {
            return Some(Duration::from_secs_f64(missing / self.per_second()));
        }
        state.left -= 1.0;
        None
    }

    /// The state with what time has added to it.
    fn counted(&self, now: Instant) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(state.counted_at);
        state.left += passed.as_secs_f64() * self.per_second();
        state.left = state.left.min(most(self.per_minute));
        state.counted_at = now;
        state
    }

    fn per_second(&self) -> f64 {
        f64::from(self.per_minute) / 60.0
    }
}

/// Calls that may be made in a moment. Together with a minute's own they stay below 7/6 of the number a minute.
fn most(per_minute: u32) -> f64 {
    f64::from(per_minute) / 6.0
}
