//! What this process knows of uploads under way. A restart begins anew.

use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::{job::JobId, transfer::lock};

/// What Labelbox should have, and did not give when it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Missing {
    /// An answer that says whether there is an import.
    Answer,
    /// Its consent to take a chunk that it may have already.
    Consent,
    /// An import that it has taken.
    Import,
    /// The file that says what became of an import's lines.
    StatusFile,
    /// The file that says why an import failed.
    ErrorFile,
}

/// Of each upload, since when it is known, and what was missed. Each thing of each chunk is counted by itself: whatever
/// else goes wrong meanwhile decides nothing about it.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<JobId, Known>>);

#[derive(Debug)]
struct Known {
    since: Instant,
    missed: HashMap<(u32, Missing), u32>,
    sought: HashSet<u32>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            missed: HashMap::new(),
            sought: HashSet::new(),
        }
    }
}

impl Memory {
    /// For how long the upload has been known.
    pub(super) fn age(&self, job: JobId) -> Duration {
        lock(&self.0).entry(job).or_default().since.elapsed()
    }

    /// Counts that a chunk's thing was asked for in vain; answers how often it was since it was last there.
    pub(super) fn miss(&self, job: JobId, chunk: u32, thing: Missing) -> u32 {
        let mut known = lock(&self.0);
        let missed = &mut known.entry(job).or_default().missed;
        let count = missed.entry((chunk, thing)).or_default();
        *count += 1;
        *count
    }

    /// A chunk's thing is there.
    pub(super) fn find(&self, job: JobId, chunk: u32, thing: Missing) {
        if let Some(known) = lock(&self.0).get_mut(&job) {
            known.missed.remove(&(chunk, thing));
        }
    }

    /// A chunk that may be there is looked for; answers whether for the first time.
    pub(super) fn seek(&self, job: JobId, chunk: u32) -> bool {
        let mut known = lock(&self.0);
        known.entry(job).or_default().sought.insert(chunk)
    }

    /// The upload is over.
    pub(super) fn forget(&self, job: JobId) {
        lock(&self.0).remove(&job);
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Memory, Missing};
    use crate::job::JobId;

    #[test]
    fn each_thing_of_each_chunk_is_missed_by_itself() {
        let memory = Memory::default();
        let (job, other) = (JobId::new(Timestamp::now()), JobId::new(Timestamp::now()));
        for _ in 0..8 {
            memory.miss(job, 1, Missing::StatusFile);
        }
        assert_eq!(memory.miss(job, 1, Missing::Import), 1);
        assert_eq!(memory.miss(job, 2, Missing::StatusFile), 1);
        assert_eq!(memory.miss(other, 1, Missing::StatusFile), 1);
        assert_eq!(memory.miss(job, 1, Missing::StatusFile), 9);
        memory.find(job, 1, Missing::StatusFile);
        assert_eq!(memory.miss(job, 1, Missing::StatusFile), 1);
        assert_eq!(memory.miss(job, 1, Missing::Import), 2);
        memory.forget(job);
        assert_eq!(memory.miss(job, 1, Missing::Import), 1);
    }
}
