//! How a step ends: in a change of its job, or in another try later.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;

use super::{Transfer, lock};
use crate::{
    backoff::Backoff,
    job::{Change, Job},
    store::StoreError,
};

/// Between tries of a step that could not be made: 2 s, 4 s, 8 s, … 2 min.
const STEP_BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(2),
    most: Duration::from_secs(120),
};

/// Why a step has to be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Later {
    /// A sentence for people.
    pub(super) reason: String,
    /// The least wait, where somebody named one.
    pub(super) least: Option<Duration>,
}

/// Has work that blocks end when nobody waits for it any more.
#[derive(Debug, Default)]
pub(super) struct StopOnDrop(pub(super) Arc<AtomicBool>);

impl StopOnDrop {
    pub(super) fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Transfer {
    /// Records what became of a job.
    pub(super) async fn conclude(
        &self,
        job: &Job,
        changes: Vec<Change>,
    ) -> Result<Job, StoreError> {
        self.clear_failures(job);
        let job = self
            .context
            .store
            .change(job, changes, Timestamp::now())
            .await?;
        let (state, message) = (job.state, job.message.as_deref().unwrap_or_default());
        tracing::info!(job_id = %job.id, model_run_id = %job.model_run_id, "{state} {message}");
        Ok(job)
    }

    /// Forgets that steps of the job were tried in vain.
    pub(super) fn clear_failures(&self, job: &Job) {
        lock(&self.failures).remove(&job.id);
    }

    /// Has the step tried again, later each time; people see why.
    pub(super) async fn try_again(&self, job: Job, later: Later) -> Result<(), StoreError> {
        let failures = {
            let mut failures = lock(&self.failures);
            let count = failures.entry(job.id).or_default();
            *count += 1;
            *count
        };
        let (now, Later { reason, least }) = (Timestamp::now(), later);
        tracing::warn!(
            job_id = %job.id, model_run_id = %job.model_run_id, failures,
            "the {} job must wait: {reason}", job.state,
        );
        let reason = Some(reason);
        let store = &self.context.store;
        let job = match job.waiting == reason {
            true => job,
            false => store.change(&job, vec![Change::Wait(reason)], now).await?,
        };
        let delay = STEP_BACKOFF.delay(failures).max(least.unwrap_or_default());
        store.check_again(&[job], now + delay).await
    }
}
