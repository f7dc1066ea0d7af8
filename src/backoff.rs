//! Delays between tries, as a pure function of how many there were.

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
