//! Lines of `squeue` and `sacct`, and what several jobs of one name come to.

use std::collections::HashMap;

use super::states::{State, observation};
use crate::{
    executor::QueryError,
    job::{Observation, Phase},
};

/// Number, name, user, state, partition, reason: the last one may hold anything. No character of it means anything to
/// a shell, should the prefix have one on its way.
pub(super) const QUEUE_FORMAT: &str = "%i/%j/%U/%T/%P/%r";

/// The same of the accounting, which has no reason.
pub(super) const ACCOUNTING_FORMAT: &str = "JobIDRaw,JobName,UID,State,Partition";

/// What Slurm has under some names.
#[derive(Debug)]
pub(super) struct Jobs {
    user: String,
    by_name: HashMap<String, Vec<SeenJob>>,
    untold: HashMap<String, QueryError>,
}

#[derive(Debug)]
struct SeenJob {
    id: String,
    observation: Observation,
}

impl Jobs {
    /// Nothing yet; jobs of other users are never taken in.
    pub(super) fn new(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            by_name: HashMap::new(),
            untold: HashMap::new(),
        }
    }

    pub(super) fn take_queue(&mut self, lines: &str) {
        for line in lines.lines() {
            let mut fields = line.splitn(6, '/');
            let mut field = || fields.next().unwrap_or_default().trim();
            let [id, name, user, word, partition, reason] = std::array::from_fn(|_| field());
            let state = State {
                word,
                partition,
                reason,
            };
            self.take([id, name, user], observation(state));
        }
    }

    /// Takes in what has ended. What the queue does not have is over, whatever the accounting says: of jobs that the
    /// controller lost in a crash it says RUNNING for ever.
    pub(super) fn take_accounting(&mut self, lines: &str) {
        for line in lines.lines() {
            let mut fields = line.split('|');
            let mut field = || fields.next().unwrap_or_default().trim();
            let [id, name, user, word, partition] = std::array::from_fn(|_| field());
            let reason = "";
            let state = State {
                word,
                partition,
                reason,
            };
            let observation = observation(state);
            if matches!(observation.phase, Phase::Exited(_)) {
                self.take([id, name, user], observation);
            }
        }
    }

    /// A number alone is no proof: name and user must be right, too.
    fn take(&mut self, [id, name, user]: [&str; 3], observation: Observation) {
        if user == self.user && !name.is_empty() {
            let id = id.to_owned();
            let jobs = self.by_name.entry(name.to_owned()).or_default();
            jobs.push(SeenJob { id, observation });
        }
    }

    /// The accounting could not be asked about these names.
    pub(super) fn not_told(&mut self, names: &[&str], error: &QueryError) {
        let untold = names.iter().map(|name| ((*name).to_owned(), error.clone()));
        self.untold.extend(untold);
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    pub(super) fn ids_of(&self, name: &str) -> impl Iterator<Item = &str> {
        let jobs = self.by_name.get(name).into_iter().flatten();
        jobs.map(|job| job.id.as_str())
    }

    /// Where the attempt of that name is: as far on as the liveliest of its jobs, since one that lost the claim ends by
    /// itself.
    ///
    /// # Errors
    /// When the queue does not know it any longer, and the accounting cannot be asked.
    pub(super) fn observe(&self, name: &str, job_id: &str) -> Result<Observation, QueryError> {
        let jobs = self.by_name.get(name).into_iter().flatten();
        let weight = |job: &&SeenJob| (liveliness(&job.observation.phase), job.id == job_id);
        match (jobs.max_by_key(weight), self.untold.get(name)) {
            (Some(job), _) => Ok(job.observation.clone()),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Ok(Observation {
                phase: Phase::Gone,
                reason: None,
                leftovers: false,
            }),
        }
    }

    /// Whether nothing of that name is left to end.
    ///
    /// # Errors
    /// As [`observe`](Self::observe).
    pub(super) fn are_over(&self, name: &str) -> Result<bool, QueryError> {
        let phase = self.observe(name, "")?.phase;
        Ok(matches!(phase, Phase::Exited(_) | Phase::Gone))
    }
}

/// An end with a cause says more than one without.
fn liveliness(phase: &Phase) -> u8 {
    match phase {
        Phase::Running => 6,
        Phase::Stopping => 5,
        Phase::Starting => 4,
        Phase::Queued => 3,
        Phase::Unknown(_) => 2,
        Phase::Exited(exit) if exit.cause.is_some() => 1,
        Phase::Exited(_) | Phase::Gone => 0,
    }
}
