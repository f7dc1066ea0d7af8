//! The data in and out of Labelbox: what a run holds is laid ready before its training, what was predicted goes
//! back after it.
//!
//! One step a job: `accepted` asks about the run and lays out the job directory.

mod accepted;
pub mod files;
mod steps;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::{
    backoff::rest_after,
    config::Current,
    disk::Room,
    job::{Job, JobId, JobState},
    labelbox::Labelbox,
    store::{Store, StoreError},
};

/// Jobs that get a step at once; a silent Labelbox holds up no more than these, each for a call's time limit.
const AT_ONCE: usize = 64;

/// The loop looks at least this often, whatever the clocks and notifications do.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// What every step needs to know of the server.
#[derive(Debug, Clone)]
pub struct Context {
    /// The store.
    pub store: Store,
    /// Where job directories lie.
    pub jobs_dir: PathBuf,
    /// The clients by the names of their workspaces.
    pub labelboxes: Current<BTreeMap<String, Labelbox>>,
    /// How much room the disks have.
    pub room: Current<Room>,
}

/// Makes accepted jobs ready, and brings home what they leave.
#[derive(Debug)]
pub struct Transfer {
    context: Context,
    in_flight: Mutex<HashSet<JobId>>,
    failures: Mutex<HashMap<JobId, u32>>,
}

impl Transfer {
    /// Nothing happens before it runs.
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self {
            context,
            in_flight: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// Runs until the returned future is dropped.
    pub async fn run(self) {
        let this = Arc::new(self);
        let mut changes = this.context.store.changes();
        let mut steps = JoinSet::new();
        loop {
            // Interest is registered before the store is asked, so no change falls between the two.
            changes.mark_unchanged();
            while steps.try_join_next().is_some() {}
            let begun = Instant::now();
            if let Err(error) = this.start_due(&mut steps).await {
                tracing::warn!("cannot look for accepted jobs: {error}");
                tokio::time::sleep(LONGEST_SLEEP).await;
            }
            tokio::time::sleep(rest_after(begun.elapsed())).await;
            tokio::select! {
                _ = changes.changed(), if steps.len() < AT_ONCE => {}
                _ = steps.join_next(), if steps.len() >= AT_ONCE => {}
                () = tokio::time::sleep(LONGEST_SLEEP) => {}
            }
        }
    }

    async fn start_due(self: &Arc<Self>, steps: &mut JoinSet<()>) -> Result<(), StoreError> {
        let free = AT_ONCE.saturating_sub(steps.len());
        // A job directory that cannot be written would be a failure; waiting for room is none.
        if free == 0 || self.context.room.get().shortage().is_some() {
            return Ok(());
        }
        let most = u32::try_from(2 * AT_ONCE).unwrap_or(128);
        let due = self.context.store.due_accepted(Timestamp::now(), most);
        for job in due.await? {
            if steps.len() >= AT_ONCE || !lock(&self.in_flight).insert(job.id) {
                continue;
            }
            let this = Arc::clone(self);
            steps.spawn(async move {
                let id = job.id;
                match this.step(job).await {
                    Ok(()) => {}
                    Err(StoreError::Stale) => {
                        tracing::debug!(job_id = %id, "the job changed meanwhile");
                    }
                    Err(error) => {
                        tracing::warn!(job_id = %id, "cannot go on with the job: {error}");
                    }
                }
                lock(&this.in_flight).remove(&id);
            });
        }
        Ok(())
    }

    /// One step of a job: to its next state, to its end, or to another try later.
    async fn step(&self, job: Job) -> Result<(), StoreError> {
        // The list that named the job may be older than the end of its last step.
        let fresh = self.context.store.job(job.id).await?;
        let as_listed =
            |fresh: &Job| (fresh.version, fresh.next_check_at) == (job.version, job.next_check_at);
        match fresh.filter(as_listed) {
            Some(job) if job.state == JobState::Accepted => accepted::step(self, job).await,
            _ => Ok(()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
