//! One engine's loop: submit what got a slot, look at what runs, fill the free slots, remove leftovers.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::task::JoinSet;

use super::{Context, Engine, attempt, memory::Memory, submit};
use crate::{
    backoff::{Backoff, rest_after},
    executor::QueryError,
    job::{Engine as EngineWord, Handle, Job, JobId, Observation},
    store::{Slots, Store, StoreError},
};

/// Every call of an executor ends within this.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// The loop looks at least this often, whatever the clocks and notifications do.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// Jobs that are looked at in one turn.
const TURN_LIMIT: u32 = 1000;

/// Submits under way at once.
const SUBMITS_AT_ONCE: u32 = 16;

/// Between tries to remove a leftover: 10 s, 20 s, 40 s, … 10 min.
const LEFTOVER_BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(10),
    most: Duration::from_secs(600),
};

/// One engine, its loop, and what the loop remembers.
pub(super) struct EngineLoop {
    pub(super) context: Arc<Context>,
    pub(super) engine: Engine,
    pub(super) memory: Mutex<Memory>,
    in_flight: Mutex<HashSet<JobId>>,
}

/// A job that is being submitted; no longer once this is dropped, also by a panic.
struct UnderWay {
    engine_loop: Arc<EngineLoop>,
    id: JobId,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let in_flight = self.engine_loop.in_flight.lock();
        in_flight
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}

impl EngineLoop {
    pub(super) fn new(context: Arc<Context>, engine: Engine) -> Self {
        Self {
            context,
            engine,
            memory: Mutex::default(),
            in_flight: Mutex::default(),
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.context.store
    }

    /// Runs for ever.
    pub(super) async fn run(self) {
        let this = Arc::new(self);
        let mut changes = this.store().changes();
        let mut submits = JoinSet::new();
        let mut woken = false;
        loop {
            // Interest is registered before the store is asked, so no change falls between the two.
            changes.mark_unchanged();
            while submits.try_join_next().is_some() {}
            let begun = Instant::now();
            if let Err(error) = this.turn(&mut submits, std::mem::take(&mut woken)).await {
                tracing::warn!(
                    executor = this.engine.name,
                    "the scheduler's turn failed: {error}"
                );
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            tokio::time::sleep(rest_after(begun.elapsed())).await;
            let poll = this.engine.executor.poll_interval().min(LONGEST_SLEEP);
            tokio::select! {
                () = this.engine.wake.notified() => woken = true,
                _ = changes.changed() => {}
                _ = submits.join_next(), if !submits.is_empty() => {}
                () = tokio::time::sleep(poll) => {}
            }
        }
    }

    async fn turn(
        self: &Arc<Self>,
        submits: &mut JoinSet<()>,
        woken: bool,
    ) -> Result<(), StoreError> {
        if woken {
            self.wake_all().await?;
        }
        let now = Timestamp::now();
        let name = self.engine.name.clone();
        let due = self.store().due_on(name, now, TURN_LIMIT).await?;
        let (with_handle, without): (Vec<Job>, Vec<Job>) =
            due.into_iter().partition(|job| job.handle.is_some());
        for job in without {
            self.start(submits, job, submit::Known::Perhaps);
        }
        self.look_at(with_handle).await?;
        let places =
            SUBMITS_AT_ONCE.saturating_sub(u32::try_from(submits.len()).unwrap_or(u32::MAX));
        if places > 0 && self.context.room.get().shortage().is_none() {
            for job in self.store().pull(self.slots(), places, now).await? {
                self.start(submits, job, submit::Known::New);
            }
        }
        self.remove_leftovers(now).await
    }

    fn slots(&self) -> Slots {
        Slots {
            executor: self.engine.name.clone(),
            max_running: self.engine.max_running,
            devices: self.engine.executor.devices(),
            boot_id: self.context.boot_id.clone(),
        }
    }

    /// Submits a job in a task of its own, unless one is at it already.
    fn start(self: &Arc<Self>, submits: &mut JoinSet<()>, job: Job, known: submit::Known) {
        let id = job.id;
        if !self
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id)
        {
            return;
        }
        let under_way = UnderWay {
            engine_loop: Arc::clone(self),
            id,
        };
        submits.spawn(async move {
            let this = &under_way.engine_loop;
            if let Err(error) = this.submit(job, known).await {
                this.log_step_error(id, &error);
            }
        });
    }

    /// Asks the engine about all of them at once, then takes one step for each.
    async fn look_at(&self, jobs: Vec<Job>) -> Result<(), StoreError> {
        let jobs: Vec<Job> = jobs
            .into_iter()
            .filter(|job| job.handle.is_some())
            .collect();
        if jobs.is_empty() {
            return Ok(());
        }
        let handles: Vec<Handle> = jobs.iter().filter_map(|job| job.handle.clone()).collect();
        let answers = self.observe(&handles).await;
        let mut again = Vec::new();
        for (job, answer) in jobs.into_iter().zip(answers) {
            let id = job.id;
            match attempt::step(self, job.clone(), self.weigh(&job, answer)).await {
                Ok(Some(job)) => again.push(job),
                Ok(None) => {}
                Err(error) => self.log_step_error(id, &error),
            }
        }
        let poll = self.engine.executor.poll_interval();
        self.store()
            .check_again(&again, Timestamp::now() + poll)
            .await
    }

    fn weigh(&self, job: &Job, answer: Result<Observation, QueryError>) -> EngineWord {
        let waited = self.with_memory(job, |memory| memory.unanswered(answer.is_ok()));
        match answer {
            Ok(observation) => EngineWord::Said(observation),
            Err(error) => {
                tracing::debug!(job_id = %job.id, executor = self.engine.name, "no answer: {error}");
                EngineWord::Silent(waited)
            }
        }
    }

    async fn observe(&self, handles: &[Handle]) -> Vec<Result<Observation, QueryError>> {
        let answers =
            tokio::time::timeout(CALL_TIMEOUT, self.engine.executor.observe(handles)).await;
        let mut answers = answers.unwrap_or_default();
        let silent = || Err(QueryError("the engine did not answer in time".to_owned()));
        answers.resize_with(handles.len(), silent);
        answers
    }

    /// Something happened on the engine: look at everything it holds, at once.
    async fn wake_all(&self) -> Result<(), StoreError> {
        self.look_at(self.store().holding_slots(self.engine.name.clone()).await?)
            .await
    }

    async fn remove_leftovers(&self, now: Timestamp) -> Result<(), StoreError> {
        for leftover in self
            .store()
            .leftovers_due(self.engine.name.clone(), now)
            .await?
        {
            let executor = &self.engine.executor;
            let removal = async {
                executor.cancel(&leftover.handle, Duration::ZERO).await?;
                executor.cleanup(&leftover.handle).await
            };
            let removed = tokio::time::timeout(CALL_TIMEOUT, removal).await;
            match removed
                .unwrap_or_else(|_| Err(QueryError("the engine did not answer in time".to_owned())))
            {
                Ok(()) => self.store().remove_leftover(leftover.id).await?,
                Err(error) => {
                    let delay = LEFTOVER_BACKOFF.delay(leftover.failures + 1);
                    tracing::warn!(launch_id = %leftover.handle.launch_id, "a leftover cannot be removed: {error}");
                    self.store()
                        .postpone_leftover(leftover.id, error.to_string(), now + delay)
                        .await?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn with_memory<T>(
        &self,
        job: &Job,
        use_it: impl FnOnce(&mut super::memory::Remembered) -> T,
    ) -> T {
        use_it(
            self.memory
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .of(job.launch_id()),
        )
    }

    pub(super) fn forget(&self, job: &Job) {
        self.memory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .forget(job.launch_id());
    }

    /// A step that saw an old row is no error: the next turn reads the new one.
    fn log_step_error(&self, id: JobId, error: &StoreError) {
        match error {
            StoreError::Stale => tracing::debug!(job_id = %id, "the job changed meanwhile"),
            error => {
                tracing::warn!(job_id = %id, executor = self.engine.name, "a step failed: {error}");
            }
        }
    }
}
