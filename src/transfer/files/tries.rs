//! When a file is tried again.

use std::time::{Duration, Instant};

use super::hosts::{Hosts, Verdict};

/// What fails so many times without any new byte may not come at all…
const TRIES: u32 = 5;

/// …and does not after so many altogether.
const TRIES_IN_ALL: u32 = 50;

/// A longer wait than this is not granted to a server: the file is asked for sooner.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// What was tried in vain so far.
#[derive(Debug, Default)]
pub(super) struct Tries {
    all: u32,
    /// Whether the last one brought something new.
    has_grown: bool,
    /// Since a new byte came.
    in_vain: u32,
    /// When the first of those failed.
    since: Option<Instant>,
}

impl Tries {
    /// Counts a try that failed, and whether it brought something new.
    pub(super) fn count(&mut self, has_grown: bool) {
        if has_grown {
            (self.in_vain, self.since) = (0, None);
        }
        self.has_grown = has_grown;
        self.all += 1;
        self.in_vain += 1;
        self.since.get_or_insert_with(Instant::now);
    }

    /// What becomes of the file; `wishes` says whether its host wants fewer calls.
    pub(super) fn judge(&self, hosts: &Hosts, url: &str, wishes: bool) -> Verdict {
        match self.since {
            _ if self.are_too_many() => Verdict::Missing,
            Some(since) if self.in_vain >= TRIES => hosts.judge(url, since, wishes),
            _ => Verdict::Again,
        }
    }

    /// Whether the last one brought nothing new.
    pub(super) const fn are_in_vain(&self) -> bool {
        !self.has_grown
    }

    pub(super) const fn are_too_many(&self) -> bool {
        self.all >= TRIES_IN_ALL
    }

    /// The rest before the next try, as long as the server wishes at least. `spread` differs between files.
    pub(super) fn rest(&self, hosts: &Hosts, spread: u64, wished: Option<Duration>) -> Duration {
        let rest = hosts.patience.rests.delay_spread(self.in_vain, spread);
        rest.max(wished.unwrap_or_default().min(LONGEST_WAIT))
    }
}
