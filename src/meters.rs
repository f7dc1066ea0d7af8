//! Numbers that only grow while the server lives, kept where things happen and read by `/metrics`.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::job::JobId;

/// How often each of several things has happened.
#[derive(Debug)]
pub struct Counters<K> {
    counts: Mutex<BTreeMap<K, u64>>,
}

impl<K: Ord + Clone> Counters<K> {
    /// Counts one more.
    pub fn add(&self, key: K) {
        self.add_many(key, 1);
    }

    /// Counts so many more.
    pub fn add_many(&self, key: K, more: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(key).or_default() += more;
    }

    /// All that have happened, and how often.
    #[must_use]
    pub fn all(&self) -> BTreeMap<K, u64> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.clone()
    }
}

impl<K> Default for Counters<K> {
    fn default() -> Self {
        Self {
            counts: Mutex::default(),
        }
    }
}

/// Whether something answers, as far as it was asked.
#[derive(Debug, Default)]
pub struct Answering {
    last: Mutex<Option<bool>>,
}

impl Answering {
    /// Notes whether it answered when it was last asked.
    pub fn note(&self, answered: bool) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(answered);
    }

    /// Whether it answered when it was last asked; none if nobody has asked since the start.
    #[must_use]
    pub fn last(&self) -> Option<bool> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The upper ends of a [`Durations`]' ranges, in seconds; the last range has none.
pub const BOUNDS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
];

/// How long something has taken, each time.
#[derive(Debug, Default)]
pub struct Durations {
    ranges: [AtomicU64; BOUNDS.len() + 1],
    sum_micros: AtomicU64,
}

impl Durations {
    /// Takes one more.
    pub fn add(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let range = BOUNDS.iter().position(|bound| seconds <= *bound);
        self.ranges[range.unwrap_or(BOUNDS.len())].fetch_add(1, Relaxed);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Relaxed);
    }

    /// How many have taken no longer than each of [`BOUNDS`]; the last number counts all.
    #[must_use]
    pub fn up_to(&self) -> Vec<u64> {
        let counts = self.ranges.iter().map(|range| range.load(Relaxed));
        counts
            .scan(0, |sum, count| {
                *sum += count;
                Some(*sum)
            })
            .collect()
    }

    /// All of them together, in seconds.
    #[must_use]
    pub fn sum_seconds(&self) -> f64 {
        Duration::from_micros(self.sum_micros.load(Relaxed)).as_secs_f64()
    }
}

/// What exports have brought, and how far those under way are. All of it is forgotten at a restart.
#[derive(Debug, Default)]
pub struct ExportMeters {
    rows: AtomicU64,
    bytes: AtomicU64,
    under_way: Mutex<BTreeMap<JobId, BTreeMap<&'static str, String>>>,
}

impl ExportMeters {
    /// Counts what was fetched.
    pub fn add(&self, rows: u64, bytes: u64) {
        self.rows.fetch_add(rows, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Rows fetched since the start.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows.load(Relaxed)
    }

    /// Bytes fetched since the start.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// The job's export is under way until it is said to be over.
    pub fn begin(&self, job: JobId) {
        self.notes().insert(job, BTreeMap::new());
    }

    /// The job's export is over, or rests.
    pub fn end(&self, job: JobId) {
        self.notes().remove(&job);
    }

    /// How far a part of the job's export is, for people; none once that is not worth telling.
    pub fn note(&self, job: JobId, part: &'static str, text: Option<String>) {
        if let Some(notes) = self.notes().get_mut(&job) {
            match text {
                Some(text) => notes.insert(part, text),
                None => notes.remove(part),
            };
        }
    }

    /// How far the job's export is, for people; none if it is not under way.
    #[must_use]
    pub fn noted(&self, job: JobId) -> Option<String> {
        let notes = self.notes();
        let parts: Vec<&str> = notes.get(&job)?.values().map(String::as_str).collect();
        Some(parts.join("; "))
    }

    /// How many exports are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.notes().len()
    }

    fn notes(&self) -> MutexGuard<'_, BTreeMap<JobId, BTreeMap<&'static str, String>>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
