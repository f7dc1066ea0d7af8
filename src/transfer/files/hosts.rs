//! Which hosts' files come, as all jobs see it: that tells an outage, which is waited for, from a file that is not to be had.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use reqwest::Url;

use crate::backoff::Backoff;

/// So many hosts that fail are remembered; files of further ones are judged each by itself.
const REMEMBERED: usize = 1024;

/// How long a file is waited for that fails as if it might still come.
///
/// A file that failed five times is missing once it, or all of its host's, has failed for `beside_others` while files of
/// other hosts came. Where none comes from anywhere, that is an outage: the job waits, and the file is missing after `alone`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Default 10 min.
    pub beside_others: Duration,
    /// Default 1 h.
    pub alone: Duration,
    /// Between tries, by default 1 s, 2 s, 4 s, … 30 s.
    pub rests: Backoff,
}

/// What is to be done about a file that has failed again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It alone fails: it is tried again while others come in.
    Again,
    /// Nothing comes: the job waits.
    Outage,
    /// It is not waited for any longer.
    Missing,
}

#[derive(Debug, Default)]
pub(super) struct Hosts {
    pub(super) patience: Patience,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// When a file came last, from anywhere.
    came_at: Option<Instant>,
    failing: HashMap<String, Failing>,
}

/// A host none of whose files has come since then.
#[derive(Debug, Clone, Copy)]
struct Failing {
    since: Instant,
    last: Instant,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            beside_others: Duration::from_mins(10),
            alone: Duration::from_hours(1),
            rests: Backoff {
                first: Duration::from_secs(1),
                most: Duration::from_secs(30),
            },
        }
    }
}

impl Hosts {
    pub(super) fn of(patience: Patience) -> Self {
        let known = Mutex::default();
        Self { patience, known }
    }

    pub(super) fn came(&self, url: &str) {
        let mut known = self.known();
        known.came_at = Some(Instant::now());
        known.failing.remove(&host_of(url));
    }

    pub(super) fn failed(&self, url: &str) {
        let (mut known, host, now) = (self.known(), host_of(url), Instant::now());
        // What failed long ago, and was not asked for since, says nothing of today.
        let old = self.patience.beside_others.max(Duration::from_mins(5));
        known.failing.retain(|_, failing| now - failing.last <= old);
        let is_full = known.failing.len() >= REMEMBERED;
        match known.failing.get_mut(&host) {
            Some(failing) => failing.last = now,
            None if is_full => {}
            None => {
                let (since, last) = (now, now);
                known.failing.insert(host, Failing { since, last });
            }
        }
    }

    /// What becomes of a file that has failed since then.
    pub(super) fn judge(&self, url: &str, failing_since: Instant) -> Verdict {
        let known = self.known();
        let host = known.failing.get(&host_of(url));
        let since = host.map_or(failing_since, |host| host.since.min(failing_since));
        let others_come = known.came_at.is_some_and(|at| at > since);
        let Patience {
            beside_others,
            alone,
            ..
        } = self.patience;
        match since.elapsed() {
            passed if passed >= alone => Verdict::Missing,
            passed if others_come && passed >= beside_others => Verdict::Missing,
            _ if others_come => Verdict::Again,
            _ => Verdict::Outage,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn host_of(url: &str) -> String {
    let url = Url::parse(url).ok();
    let origin = url.map(|url| url.origin().ascii_serialization());
    origin.unwrap_or_default()
}
