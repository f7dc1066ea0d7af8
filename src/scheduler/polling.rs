//! When an engine is looked at: together, not in step with other servers, and no more often than it bears.

use std::time::{Duration, Instant};

use uuid::Uuid;

/// One engine's rhythm.
#[derive(Debug)]
pub(super) struct Polling {
    interval: Duration,
    pause: Duration,
    woken: bool,
    looked: Option<Instant>,
    next: Option<Instant>,
}

impl Polling {
    /// A look every `interval`, about; never two within `pause`.
    pub(super) fn new(interval: Duration, pause: Duration) -> Self {
        Self {
            interval,
            pause,
            woken: false,
            looked: None,
            next: None,
        }
    }

    /// Something happened on the engine: it is to be looked at as soon as it bears it.
    pub(super) fn wake(&mut self) {
        self.woken = true;
    }

    /// Whether everything is to be looked at now, and no longer afterwards.
    pub(super) fn take_wake(&mut self) -> bool {
        self.may_look() && std::mem::take(&mut self.woken)
    }

    /// Whether the engine bears a look now.
    pub(super) fn may_look(&self) -> bool {
        self.pause_left().is_zero()
    }

    /// Notes a look; answers how long until the next one, somewhat more or less each time.
    pub(super) fn looked(&mut self) -> Duration {
        let now = Instant::now();
        let interval = jitter(self.interval);
        (self.looked, self.next) = (Some(now), Some(now + interval));
        interval
    }

    /// How long the loop may sleep; `is_due` if there is something to look at that had to wait.
    pub(super) fn sleep(&self, is_due: bool) -> Duration {
        if self.woken || is_due {
            return self.pause_left();
        }
        let next = self
            .next
            .map(|next| next.saturating_duration_since(Instant::now()));
        let next = next.filter(|next| !next.is_zero());
        next.unwrap_or(self.interval).min(self.interval)
    }

    fn pause_left(&self) -> Duration {
        let since = self.looked.map(|looked| looked.elapsed());
        since.map_or(Duration::ZERO, |since| self.pause.saturating_sub(since))
    }
}

/// The interval, less or more by up to a fifth.
fn jitter(interval: Duration) -> Duration {
    let random = u32::try_from(Uuid::new_v4().as_u128() % 401).unwrap_or(200);
    interval * (800 + random) / 1000
}
