//! The jobs of a stand: begun, looked at, ended, and waited for.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{PAUSE, Stand};
use crate::{
    config::ModelEntry,
    conformance::Complaint,
    job::{Handle, Job, JobId, JobKind, Stop},
    job_dir::{AttemptDir, JobDir},
    store::{Acceptance, Filter, NewJob, Store, StoreError},
};

impl Stand {
    fn store(&self) -> Result<&Store, Complaint> {
        let running = self.running.as_ref();
        let store = running.map(|running| &running.store);
        store.ok_or_else(|| "the server of the trial does not run".to_owned().into())
    }

    /// Starts a job, as `trainhook start` does.
    pub(in crate::conformance) async fn accept(
        &self,
        entry: ModelEntry,
    ) -> Result<JobId, Complaint> {
        let (_, run) = self.emulator.create_model_run(None, "conformance");
        let run = run.parse();
        let new = NewJob {
            workspace: "main".to_owned(),
            entry: Arc::new(entry),
            model_run_id: run.map_err(|error| format!("{error}"))?,
            model_id: None,
            kind: JobKind::Train,
            parent: None,
            actor: "conformance".to_owned(),
            webhook: b"{}".to_vec().into(),
            redelivery_window: Duration::ZERO,
            limited: false,
        };
        match self.store()?.accept(new, Timestamp::now()).await {
            Ok(Acceptance::New(job)) => Ok(job.id),
            Ok(other) => Err(format!("the job was not taken: {other:?}").into()),
            Err(error) => Err(unreadable(&error)),
        }
    }

    pub(in crate::conformance) async fn job(&self, id: JobId) -> Result<Job, Complaint> {
        let job = self.store()?.job(id).await;
        let job = job.map_err(|error| unreadable(&error))?;
        job.ok_or_else(|| "the job is gone".to_owned().into())
    }

    /// The folder of the job's current attempt.
    pub(in crate::conformance) fn attempt_dir(&self, job: &Job) -> AttemptDir {
        JobDir::new(&self.config.server.jobs_dir, job.id).attempt(job.attempt)
    }

    /// Wishes a job to stop, as `trainhook jobs cancel` does.
    pub(in crate::conformance) async fn cancel(&self, id: JobId) -> Result<(), Complaint> {
        let now = Timestamp::now();
        let stop = Stop {
            cause: None,
            actor: "conformance".to_owned(),
            at: now,
        };
        let wished = self.store()?.wish_stop(id, stop, now).await;
        wished.map(drop).map_err(|error| unreadable(&error))
    }

    /// What the executor has not let go of yet.
    pub(in crate::conformance) async fn leftovers(&self) -> Result<Vec<Handle>, Complaint> {
        let far = Timestamp::now() + Duration::from_secs(24 * 3600);
        let left = self.store()?.leftovers_due(self.entry.name.clone(), far);
        let left = left.await.map_err(|error| unreadable(&error))?;
        Ok(left.into_iter().map(|leftover| leftover.handle).collect())
    }

    /// Waits for a job to get somewhere.
    pub(in crate::conformance) async fn wait_for(
        &self,
        id: JobId,
        what: &str,
        is_there: impl Fn(&Job) -> bool,
    ) -> Result<Job, Complaint> {
        let deadline = Instant::now() + self.patience();
        loop {
            let job = self.job(id).await?;
            if is_there(&job) {
                return Ok(job);
            }
            if job.state.is_terminal() || Instant::now() > deadline {
                return Err(format!("waiting for {what}: the job is {}", describe(&job)).into());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits for something that no job tells.
    pub(in crate::conformance) async fn until<T, L>(
        &self,
        what: &str,
        patience: Duration,
        mut look: impl FnMut() -> L + Send,
    ) -> Result<T, Complaint>
    where
        L: Future<Output = Result<Option<T>, Complaint>> + Send,
    {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            if Instant::now() > deadline {
                return Err(format!("waited too long for {what}").into());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What has ended is removed from the engine by the server, which must live until then.
    pub(super) async fn wait_for_leftovers(&self) {
        while self.leftovers().await.is_ok_and(|left| !left.is_empty()) {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Ends what a broken promise has left running.
    pub(super) async fn end_jobs(&self) {
        while let Ok(live) = self.live().await
            && !live.is_empty()
        {
            for job in live.iter().filter(|job| job.stop.is_none()) {
                // What cannot be wished now is wished at the next look.
                let _ = self.cancel(job.id).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn live(&self) -> Result<Vec<Job>, Complaint> {
        let live = Filter {
            live: true,
            limit: u32::MAX,
            ..Filter::default()
        };
        let jobs = self.store()?.jobs(live).await;
        jobs.map_err(|error| unreadable(&error))
    }
}

/// Where a job stands, in a line.
pub(in crate::conformance) fn describe(job: &Job) -> String {
    let cause = job.cause.map(|cause| format!(", {cause}"));
    let message = job.message.as_ref().or(job.waiting.as_ref());
    let message = message.map(|message| format!(": {message}"));
    let state = job.state;
    format!(
        "{state}{}{}",
        cause.unwrap_or_default(),
        message.unwrap_or_default()
    )
}

fn unreadable(error: &StoreError) -> Complaint {
    Complaint::Broken(format!("the store of the trial: {error}"))
}
