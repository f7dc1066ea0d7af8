//! One engine's loop: submit what got a slot, look at what runs, fill the free slots.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::{Context, Engine, attempt, memory::Memory, polling::Polling, submit};
use crate::{
    backoff::rest_after,
    executor::QueryError,
    job::{Engine as EngineWord, Handle, Job, JobId, Observation, Place},
    store::{Slots, Store, StoreError},
};

/// Every call of an executor ends within this.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// What an engine has of an attempt's log is worth this much waiting for.
pub(super) const LOG_TIMEOUT: Duration = Duration::from_secs(10);

/// The loop looks at least this often, whatever the clocks and notifications do.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// Jobs that are looked at in one turn.
const TURN_LIMIT: u32 = 1000;

/// Submits under way at once.
const SUBMITS_AT_ONCE: u32 = 16;

/// Jobs that take a step at once, after one look at the engine.
const STEPS_AT_ONCE: usize = 16;

/// One engine, its loop, and what the loop remembers.
pub(super) struct EngineLoop {
    pub(super) context: Arc<Context>,
    pub(super) engine: Engine,
    pub(super) memory: Arc<Mutex<Memory>>,
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
            memory: Arc::default(),
            in_flight: Mutex::default(),
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.context.store
    }

    /// How often attempts are looked at when nothing wakes the loop.
    pub(super) fn poll_interval(&self) -> Duration {
        let configured = self.engine.poll_interval;
        configured.unwrap_or_else(|| self.engine.executor.poll_interval())
    }

    /// Runs for ever.
    pub(super) async fn run(self) {
        let this = Arc::new(self);
        let mut changes = this.store().changes();
        let mut submits = JoinSet::new();
        let pause = this.engine.executor.poll_pause();
        let mut polling = Polling::new(this.poll_interval(), pause);
        loop {
            // Interest is registered before the store is asked, so no change falls between the two.
            changes.mark_unchanged();
            while submits.try_join_next().is_some() {}
            let begun = Instant::now();
            let turned = this.turn(&mut submits, &mut polling).await;
            if let Err(error) = &turned {
                tracing::warn!(
                    executor = this.engine.name,
                    "the scheduler's turn failed: {error}"
                );
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            tokio::time::sleep(rest_after(begun.elapsed())).await;
            let sleep = polling.sleep(turned.unwrap_or(false)).min(LONGEST_SLEEP);
            tokio::select! {
                () = this.engine.wake.notified() => polling.wake(),
                _ = changes.changed() => {}
                _ = submits.join_next(), if !submits.is_empty() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// Does all that is to be done now; answers whether something waits until the engine bears another look.
    async fn turn(
        self: &Arc<Self>,
        submits: &mut JoinSet<()>,
        polling: &mut Polling,
    ) -> Result<bool, StoreError> {
        if polling.take_wake() {
            let all = self.store().holding_slots(self.engine.name.clone()).await?;
            self.look_at(all, polling).await?;
        }
        let now = Timestamp::now();
        let name = self.engine.name.clone();
        let due = self.store().due_on(name, now, TURN_LIMIT).await?;
        let (with_handle, without): (Vec<Job>, Vec<Job>) =
            due.into_iter().partition(|job| job.handle.is_some());
        for job in without {
            self.start(submits, job, submit::Known::Perhaps);
        }
        let must_wait = !with_handle.is_empty() && !polling.may_look();
        if !must_wait {
            self.look_at(with_handle, polling).await?;
        }
        let places =
            SUBMITS_AT_ONCE.saturating_sub(u32::try_from(submits.len()).unwrap_or(u32::MAX));
        if places > 0 && self.context.room.get().shortage().is_none() {
            for job in self.store().pull(self.slots(), places, now).await? {
                self.start(submits, job, submit::Known::New);
            }
        }
        Ok(must_wait)
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
    async fn look_at(&self, jobs: Vec<Job>, polling: &mut Polling) -> Result<(), StoreError> {
        let jobs: Vec<Job> = jobs
            .into_iter()
            .filter(|job| job.handle.is_some())
            .collect();
        if jobs.is_empty() {
            return Ok(());
        }
        let handles: Vec<Handle> = jobs.iter().filter_map(|job| job.handle.clone()).collect();
        let answers = self.observe(&handles).await;
        let place = match answers.iter().any(Result::is_err) {
            true => self.place().await.ok().flatten(),
            false => None,
        };
        let steps = jobs.into_iter().zip(answers).map(async |(job, answer)| {
            let id = job.id;
            let word = self.weigh(&job, answer, place.as_ref());
            let stepped = attempt::step(self, job, word).await;
            stepped.unwrap_or_else(|error| {
                self.log_step_error(id, &error);
                None
            })
        });
        let steps = futures_util::stream::iter(steps).buffer_unordered(STEPS_AT_ONCE);
        let again: Vec<Job> = steps.filter_map(std::future::ready).collect().await;
        let next = polling.looked();
        self.store()
            .check_again(&again, Timestamp::now() + next)
            .await
    }

    fn weigh(
        &self,
        job: &Job,
        answer: Result<Observation, QueryError>,
        now: Option<&Place>,
    ) -> EngineWord {
        let note = |answered| self.with_memory(job, |memory| memory.unanswered(answered));
        let error = match answer {
            Ok(observation) => {
                note(true);
                return EngineWord::Said(observation);
            }
            Err(error) => error,
        };
        tracing::debug!(job_id = %job.id, executor = self.engine.name, "no answer: {error}");
        let handle = job.handle.as_ref();
        match handle.and_then(|handle| handle.unseen_from(now?)) {
            // Nobody was asked, so nobody is silent.
            Some(why) => {
                note(true);
                EngineWord::Elsewhere(why)
            }
            None => EngineWord::Silent(note(false)),
        }
    }

    /// The engine to which the executor points now.
    pub(super) async fn place(&self) -> Result<Option<Place>, QueryError> {
        let asked = tokio::time::timeout(CALL_TIMEOUT, self.engine.executor.place()).await;
        asked.unwrap_or_else(|_| Err(QueryError("the engine did not answer in time".to_owned())))
    }

    async fn observe(&self, handles: &[Handle]) -> Vec<Result<Observation, QueryError>> {
        let answers =
            tokio::time::timeout(CALL_TIMEOUT, self.engine.executor.observe(handles)).await;
        let mut answers = answers.unwrap_or_default();
        let silent = || Err(QueryError("the engine did not answer in time".to_owned()));
        answers.resize_with(handles.len(), silent);
        self.engine
            .answering
            .note(answers.iter().any(Result::is_ok));
        answers
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
