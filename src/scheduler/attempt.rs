//! One look at an attempt that the engine has: weigh the evidence, act on the verdict, say when to look again.

use std::{io, time::Duration};

use jiff::Timestamp;

use super::{
    engine_loop::{CALL_TIMEOUT, EngineLoop},
    stop::Revocation,
};
use crate::{
    job::{
        Cause, Change, Engine, Evidence, Job, JobState, Outcome, Phase, Progress, Verdict, verdict,
    },
    job_dir::{AttemptDir, Claim, Event, EventBatch, ExitRecord, JobDir},
    store::StoreError,
};

/// What a look at the attempt's folder found.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) claim: Option<Claim>,
    pub(super) exit: Option<ExitRecord>,
    heartbeat: Option<u64>,
    events: EventBatch,
}

/// Takes one step for a job whose handle is known; answers with the job if it should be looked at again.
pub(super) async fn step(
    engine_loop: &EngineLoop,
    job: Job,
    engine: Engine,
) -> Result<Option<Job>, StoreError> {
    // The folder is read after the engine has answered: what ended before the answer has left its record.
    let look = match engine_loop.look(&job).await {
        Ok(look) => look,
        Err(error) => {
            tracing::warn!(job_id = %job.id, "cannot read the job directory: {error}");
            return Ok(Some(job));
        }
    };
    match engine_loop.judge(&job, &look, &engine) {
        Verdict::Ended(outcome) => engine_loop.end(&job, look, outcome, &engine).await,
        Verdict::Running => engine_loop.go_on(job, look).await,
        Verdict::Wait if look.claim.is_none() => engine_loop.wait_for_start(job, &engine).await,
        Verdict::Wait => Ok(Some(job)),
        Verdict::Cleanup => engine_loop.clean_up(job).await,
        Verdict::Revoke => engine_loop.start_failed(job).await,
    }
}

impl EngineLoop {
    /// The folder of the job's current attempt.
    pub(super) fn attempt_dir(&self, job: &Job) -> AttemptDir {
        JobDir::new(&self.context.jobs_dir, job.id).attempt(job.attempt)
    }

    async fn look(&self, job: &Job) -> io::Result<Look> {
        let (dir, offset) = (self.attempt_dir(job), job.events_offset);
        let looked = tokio::task::spawn_blocking(move || {
            Ok(Look {
                claim: dir.read_claim()?,
                exit: dir.read_exit()?,
                heartbeat: dir.read_heartbeat()?,
                events: dir.read_events(offset)?,
            })
        });
        looked.await.map_err(io::Error::other)?
    }

    fn judge(&self, job: &Job, look: &Look, engine: &Engine) -> Verdict {
        let (silence, record_age) = self.with_memory(job, |memory| {
            let age = if look.exit.is_some() {
                memory.record_age()
            } else {
                Duration::ZERO
            };
            (memory.silence(look.heartbeat), age)
        });
        verdict(Evidence {
            claim: look.claim.as_ref(),
            exit: look.exit.as_ref(),
            record_age,
            engine,
            silence,
            settle: self.engine.executor.settle(),
            lost_after: self.engine.lost_after,
            we_stopped_it: job.stop.is_some(),
        })
    }

    /// The command runs: record what it told, and pass on a wish to stop.
    async fn go_on(&self, mut job: Job, look: Look) -> Result<Option<Job>, StoreError> {
        let mut changes = Vec::new();
        if job.state != JobState::Running {
            changes.push(Change::Run);
            tracing::info!(job_id = %job.id, model_run_id = %job.model_run_id, "running");
        }
        let news = look.events.offset != job.events_offset;
        let interval = self.context.report_interval;
        let due = self.with_memory(&job, |memory| memory.may_report(news, interval));
        if news || due {
            changes.push(progress_after(&job, &look.events, due));
        }
        if !changes.is_empty() {
            job = self.store().change(&job, changes, Timestamp::now()).await?;
        }
        self.pass_on_stop(&job).await?;
        Ok(Some(job))
    }

    /// Nobody has claimed yet: the engine's reason is shown, and waiting too long ends here.
    async fn wait_for_start(&self, job: Job, engine: &Engine) -> Result<Option<Job>, StoreError> {
        let now = Timestamp::now();
        if job.stop.is_some() && self.stopped_before_it_began(&job).await? {
            return Ok(None);
        }
        let late = job.queue_deadline.is_some_and(|deadline| deadline <= now);
        if late && self.revoke(&job, "queue_timeout").await? == Revocation::Won {
            self.leave_to_cleanup(&job).await?;
            let message = "waited longer than its queue_timeout".to_owned();
            self.conclude_failure(&job, Vec::new(), Cause::QueueTimeout, message)
                .await?;
            return Ok(None);
        }
        let reason = match engine {
            Engine::Said(said) if said.phase == Phase::Queued => said.reason.clone(),
            Engine::Said(_) => None,
            Engine::Silent(_) => Some(format!("executor {} does not answer", self.engine.name)),
        };
        if job.waiting == reason {
            return Ok(Some(job));
        }
        let job = self
            .store()
            .change(&job, vec![Change::Wait(reason)], now)
            .await?;
        Ok(Some(job))
    }

    async fn clean_up(&self, job: Job) -> Result<Option<Job>, StoreError> {
        let Some(handle) = &job.handle else {
            return Ok(None);
        };
        tracing::warn!(job_id = %job.id, "the supervisor is gone and its processes are not: ending them");
        let cleanup = self.engine.executor.cleanup(handle);
        match tokio::time::timeout(CALL_TIMEOUT, cleanup).await {
            Ok(Ok(())) => self.engine.wake.notify_one(),
            Ok(Err(error)) => tracing::warn!(job_id = %job.id, "cannot end what is left: {error}"),
            Err(_) => tracing::warn!(job_id = %job.id, "cannot end what is left: no answer"),
        }
        Ok(Some(job))
    }

    /// The engine says it ended, and nobody claimed. The claim decides whether that is so.
    async fn start_failed(&self, job: Job) -> Result<Option<Job>, StoreError> {
        if self.revoke(&job, "it ended before it began").await? == Revocation::Lost {
            return Ok(Some(job));
        }
        let log = match &job.handle {
            Some(handle) => self
                .engine
                .executor
                .engine_log(handle)
                .await
                .unwrap_or_default(),
            None => String::new(),
        };
        let last = log
            .lines()
            .rev()
            .map(str::trim)
            .find(|line| !line.is_empty());
        let how = match last {
            Some(line) => format!("the attempt ended before it began: {line}"),
            None => "the attempt ended before it began".to_owned(),
        };
        self.leave_to_cleanup(&job).await?;
        let outcome = Outcome::Failed {
            cause: Cause::StartFailed,
            how,
        };
        self.conclude(&job, Vec::new(), outcome, None).await?;
        Ok(None)
    }

    async fn end(
        &self,
        job: &Job,
        look: Look,
        outcome: Outcome,
        engine: &Engine,
    ) -> Result<Option<Job>, StoreError> {
        let mut changes = Vec::new();
        if job.state != JobState::Running {
            changes.push(Change::Run);
        }
        let events = self.drain_events(job, look.events).await;
        if events.offset != job.events_offset {
            changes.push(progress_after(job, &events, false));
        }
        let over = |phase: &Phase| matches!(phase, Phase::Exited(_) | Phase::Gone);
        if !matches!(engine, Engine::Said(said) if over(&said.phase)) {
            self.leave_to_cleanup(job).await?;
        }
        self.conclude(job, changes, outcome, look.exit).await?;
        Ok(None)
    }

    /// Reads what the command told up to its end.
    async fn drain_events(&self, job: &Job, mut batch: EventBatch) -> EventBatch {
        loop {
            let (dir, offset) = (self.attempt_dir(job), batch.offset);
            let more = tokio::task::spawn_blocking(move || dir.read_events(offset)).await;
            match more {
                Ok(Ok(more)) if more.offset > batch.offset => {
                    batch.events.extend(more.events);
                    batch.offset = more.offset;
                }
                _ => return batch,
            }
        }
    }
}

/// Folds what the command told into what was told before.
fn progress_after(job: &Job, batch: &EventBatch, report: bool) -> Change {
    let mut stage = job.stage;
    let mut progress: Progress = job.progress.clone();
    for event in &batch.events {
        match event {
            Event::Stage { stage: told } => stage = Some(*told),
            Event::Progress { percent } => progress.percent = Some(percent.clamp(0.0, 100.0)),
            Event::Metric { name, value, .. } => remember_metric(&mut progress, name, *value),
            Event::Note { text, .. } => progress.note = Some(text.chars().take(500).collect()),
        }
    }
    // A new stage may mean another status, which is told at once.
    let report = report || stage != job.stage;
    Change::Progress {
        stage,
        progress,
        events_offset: batch.offset,
        report,
    }
}

/// Metrics kept for one job; a command that invents names without end fills nothing.
const METRICS_LIMIT: usize = 100;

fn remember_metric(progress: &mut Progress, name: &str, value: f64) {
    let known = progress.metrics.contains_key(name);
    let fits = progress.metrics.len() < METRICS_LIMIT && (1..=100).contains(&name.len());
    if value.is_finite() && (known || fits) {
        progress.metrics.insert(name.to_owned(), value);
    }
}
