//! How long something is tried again, and how often.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::remote::Fault;
use crate::backoff::Backoff;

/// Between tries to reach the server: 1 s, 2 s, 4 s, … 30 s.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    most: Duration::from_secs(30),
};

/// What is left of somebody's patience; all of it comes back with each success.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    limit: Duration,
    spread: u64,
    failures: u32,
    since: Option<Instant>,
    said: Option<String>,
}

impl Patience {
    /// Gives up after `limit` without a success. `spread` differs between those who wait for the same server.
    pub(super) const fn of(limit: Duration, spread: u64) -> Self {
        Self {
            limit,
            spread,
            failures: 0,
            since: None,
            said: None,
        }
    }

    /// Something went well.
    pub(super) fn restore(&mut self) {
        (self.failures, self.since, self.said) = (0, None, None);
    }

    /// Waits before the next try; anything but a fault that may pass comes back at once, and so does one that has lasted
    /// for too long.
    pub(super) async fn bear(&mut self, doing: &str, fault: Fault) -> Result<(), Fault> {
        let Fault::Later(why) = fault else {
            return Err(fault);
        };
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.limit {
            return Err(Fault::Later(why));
        }
        if self.said.as_ref() != Some(&why) {
            eprintln!("cannot {doing} yet, trying again: {why}");
            self.said = Some(why);
        }
        self.failures = self.failures.saturating_add(1);
        sleep(BACKOFF.delay_spread(self.failures, self.spread)).await;
        Ok(())
    }
}
