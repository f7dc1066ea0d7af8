//! Delays between tries and between looks, as pure functions.

use std::time::Duration;

/// How the wait between tries grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second try.
    pub first: Duration,
    /// The wait never grows beyond this.
    pub most: Duration,
}

impl Backoff {
    /// The wait after `failures` failed tries: `first`, doubled for each further one, at most `most`.
    /// With 1 s and 60 s: 1 s, 2 s, 4 s, 8 s, 16 s, 32 s, 60 s, 60 s, …
    #[must_use]
    pub fn delay(self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.most)
    }

    /// The same, less up to a quarter, so that those who failed together do not try together.
    /// `spread` is any number that differs between them.
    #[must_use]
    pub fn delay_spread(self, failures: u32, spread: u64) -> Duration {
        let delay = self.delay(failures);
        let part =
            u32::try_from(spread.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40).unwrap_or(0) % 1024;
        delay - delay / 4 * part / 1024
    }
}

/// A look that took no longer than this is followed by the next one at once.
const SHORT_LOOK: Duration = Duration::from_millis(10);

/// No rest is longer.
const LONGEST_REST: Duration = Duration::from_millis(200);

/// How long a loop rests after a look at its rows that took `look`: three times as long, at most 200 ms,
/// so that a list that has grown long does not take the machine for itself. Nothing after a short look.
#[must_use]
pub fn rest_after(look: Duration) -> Duration {
    if look <= SHORT_LOOK {
        Duration::ZERO
    } else {
        (look * 3).min(LONGEST_REST)
    }
}
