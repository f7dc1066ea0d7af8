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

/// People are told of a host that has given nothing for so long…
const WORTH_TELLING: Duration = Duration::from_secs(5);

/// …and not any longer when it has not been asked since.
const WORTH_NOTHING: Duration = Duration::from_mins(1);

/// How long a file is waited for that fails as if it might still come, and did so five times.
///
/// Where others of its host come meanwhile, it is missing; if its host wishes fewer calls, after `beside_others`. Where none
/// of its host comes, but files of others do, all of them are missing after `beside_others`. Where none comes from
/// anywhere, that is an outage: the job waits, and the file is missing after `alone`.
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

/// A host whose files have failed.
#[derive(Debug, Clone)]
struct Failing {
    /// Since when none has come; none if the last one came.
    since: Option<Instant>,
    /// When one of its files came last, if it was after one failed.
    came_at: Option<Instant>,
    /// When one of its files failed last, and why.
    last: Instant,
    why: String,
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
        let (mut known, now) = (self.known(), Some(Instant::now()));
        known.came_at = now;
        if let Some(host) = known.failing.get_mut(&host_of(url)) {
            (host.since, host.came_at) = (None, now);
        }
    }

    pub(super) fn failed(&self, url: &str, why: &str) {
        let (mut known, host, now) = (self.known(), host_of(url), Instant::now());
        // What failed long ago, and was not asked for since, says nothing of today.
        let old = self.patience.beside_others.max(Duration::from_mins(5));
        known.failing.retain(|_, failing| now - failing.last <= old);
        let is_full = known.failing.len() >= REMEMBERED;
        match known.failing.get_mut(&host) {
            Some(failing) => {
                failing.since.get_or_insert(now);
                (failing.last, failing.why) = (now, why.to_owned());
            }
            None if is_full => {}
            None => {
                let failing = Failing {
                    since: Some(now),
                    came_at: None,
                    last: now,
                    why: why.to_owned(),
                };
                known.failing.insert(host, failing);
            }
        }
    }

    /// A host that has given nothing for a while, for people.
    pub(super) fn trouble(&self) -> Option<String> {
        let known = self.known();
        let (host, failing) = known.failing.iter().find(|(_, failing)| {
            let is_lasting = |since: Instant| since.elapsed() >= WORTH_TELLING;
            failing.since.is_some_and(is_lasting) && failing.last.elapsed() <= WORTH_NOTHING
        })?;
        Some(format!("{host} {}", failing.why))
    }

    /// What becomes of a file that has failed since then; `wishes` says whether its host wants fewer calls.
    pub(super) fn judge(&self, url: &str, failing_since: Instant, wishes: bool) -> Verdict {
        let known = self.known();
        let host = known.failing.get(&host_of(url));
        let came_after = |at: Option<Instant>, since: Instant| at.is_some_and(|at| at > since);
        let Patience {
            beside_others,
            alone,
            ..
        } = self.patience;
        if came_after(host.and_then(|host| host.came_at), failing_since) {
            return match wishes && failing_since.elapsed() < beside_others {
                true => Verdict::Again,
                false => Verdict::Missing,
            };
        }
        let since = host.and_then(|host| host.since);
        let since = since.map_or(failing_since, |since| since.min(failing_since));
        let others_come = came_after(known.came_at, since);
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

/// Scheme, host and port of an address: what may be told of it.
pub(super) fn host_of(url: &str) -> String {
    let url = Url::parse(url).ok();
    let origin = url.map(|url| url.origin().ascii_serialization());
    origin.unwrap_or_default()
}
