//! One look at an attempt that the engine has: weigh the evidence, act on the verdict, say when to look again.

use std::{io, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    engine_loop::{EngineLoop, LOG_TIMEOUT},
    stop::Revocation,
};
use crate::{
    job::{
        Cause, Change, Engine, Evidence, Job, JobState, Outcome, Phase, STOP_PATIENCE, Verdict,
        verdict,
    },
    job_dir::{AttemptDir, Claim, Claimant, EventBatch, ExitRecord, JobDir},
    store::StoreError,
};

/// How a job ends that nobody began in time.
const WAITED_TOO_LONG: &str = "waited longer than its queue_timeout";

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
            return engine_loop.cannot_look(job, &error, &engine).await;
        }
    };
    match engine_loop.judge(&job, &look, &engine) {
        Verdict::Ended(outcome) => engine_loop.end(&job, look, outcome, &engine).await,
        Verdict::Running => engine_loop.go_on(job, look, &engine).await,
        Verdict::Wait => engine_loop.wait_on(job, &look, &engine).await,
        Verdict::Cleanup => engine_loop.clean_up(job).await,
        Verdict::Revoke => engine_loop.start_failed(job, &engine).await,
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
                // What a command tells is its own affair: it must not hide how the attempt stands.
                events: dir.read_events(offset).unwrap_or(EventBatch {
                    offset,
                    ..EventBatch::default()
                }),
            })
        });
        looked.await.map_err(io::Error::other)?
    }

    /// How the attempt stands cannot be told. People see why, and can still have the job stopped; it is over when they
    /// did and the engine has nothing left of it.
    async fn cannot_look(
        &self,
        job: Job,
        error: &io::Error,
        engine: &Engine,
    ) -> Result<Option<Job>, StoreError> {
        tracing::warn!(job_id = %job.id, "cannot read the job directory: {error}");
        let silence = self.with_memory(&job, |memory| memory.silence(None));
        let stopped = job.stop.is_some();
        let patience = match engine {
            Engine::Elsewhere(_) => Some(self.engine.executor.settle().max(STOP_PATIENCE)),
            engine => is_over(engine).then(|| self.engine.executor.settle()),
        };
        if stopped && patience.is_some_and(|patience| silence >= patience) {
            self.leave_to_cleanup(&job).await?;
            self.conclude_stop(&job, Vec::new()).await?;
            return Ok(None);
        }
        let reason = Some(format!("cannot read the job directory: {error}"));
        let job = match job.waiting == reason {
            true => job,
            false => {
                let changes = vec![Change::Wait(reason)];
                self.store().change(&job, changes, Timestamp::now()).await?
            }
        };
        self.pass_on_stop(&job).await?;
        match engine {
            Engine::Said(said) if said.leftovers => self.clean_up(job).await,
            _ => Ok(Some(job)),
        }
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
            asked_in_vain: self.asked_in_vain(job),
        })
    }

    /// For how long an engine has been asked to end what its supervisor did not. Processes of this machine, and devices that
    /// are handed out here, are free when they are seen to be, and not before.
    fn asked_in_vain(&self, job: &Job) -> Duration {
        let is_ours = self.engine.kind == "local" || !job.devices.is_empty();
        let overdue = self.overdue_for(job).filter(|_| !is_ours);
        overdue.unwrap_or_default()
    }

    /// Why an attempt that has begun does not move, as far as its engine says so.
    async fn why_it_rests(&self, job: &Job, engine: &Engine) -> Option<String> {
        if let Some(refusal) = self.with_memory(job, |memory| memory.refusal.clone()) {
            return Some(self.redact(job, refusal).await);
        }
        let said = match engine {
            Engine::Elsewhere(why) => return Some(why.clone()),
            Engine::Said(said) => said,
            Engine::Silent(_) => return None,
        };
        let told = match (&said.phase, &said.reason) {
            (Phase::Running | Phase::Stopping, Some(reason)) => reason.clone(),
            (Phase::Unknown(word), Some(reason)) => format!("the engine says {word}: {reason}"),
            (Phase::Unknown(word), None) => format!("the engine says {word}"),
            _ => return None,
        };
        match job.waiting.as_ref() == Some(&told) {
            true => Some(told),
            false => Some(self.redact(job, told).await),
        }
    }

    /// The command runs: record what it told, and pass on a wish to stop.
    async fn go_on(
        &self,
        mut job: Job,
        look: Look,
        engine: &Engine,
    ) -> Result<Option<Job>, StoreError> {
        let mut changes = Vec::new();
        let rests = self.why_it_rests(&job, engine).await;
        if job.state != JobState::Running {
            let stage = look.claim.as_ref().and_then(|claim| claim.stage);
            changes.push(Change::Run { stage });
            tracing::info!(job_id = %job.id, model_run_id = %job.model_run_id, "running");
        } else if job.waiting != rests {
            changes.push(Change::Wait(rests));
        }
        let news = look.events.offset != job.events_offset;
        let interval = self.context.config.get().reporting.interval;
        let due = self.with_memory(&job, |memory| memory.may_report(news, interval));
        changes.extend(self.progress_after(&job, look.events, due).await);
        if !changes.is_empty() {
            job = self.store().change(&job, changes, Timestamp::now()).await?;
        }
        self.pass_on_stop(&job).await?;
        Ok(Some(job))
    }

    async fn wait_on(
        &self,
        job: Job,
        look: &Look,
        engine: &Engine,
    ) -> Result<Option<Job>, StoreError> {
        match look.claim.as_ref().map(|claim| &claim.by) {
            None => self.wait_for_start(job, engine).await,
            Some(Claimant::Revoked { reason }) => self.finish_revocation(job, reason).await,
            Some(Claimant::Supervisor { instance }) => {
                let record = look.exit.as_ref();
                if record.is_none_or(|record| record.instance != *instance) {
                    // Its heart beats, whatever the engine says: it can still be asked to stop.
                    self.pass_on_stop(&job).await?;
                }
                Ok(Some(job))
            }
        }
    }

    /// The claim was won here, and what follows from it was never committed: a crash lies between.
    async fn finish_revocation(&self, job: Job, reason: &str) -> Result<Option<Job>, StoreError> {
        self.leave_to_cleanup(&job).await?;
        let now = Timestamp::now();
        let late = job.queue_deadline.is_some_and(|deadline| deadline <= now);
        let (cause, how) = match late {
            true => (Cause::QueueTimeout, WAITED_TOO_LONG.to_owned()),
            false => (
                Cause::StartFailed,
                format!("the attempt was given up before it began: {reason}"),
            ),
        };
        // A wish to stop beats either.
        let outcome = Outcome::Failed { cause, how };
        self.conclude(&job, Vec::new(), outcome, None).await?;
        Ok(None)
    }

    /// Nobody has claimed yet: the engine's reason is shown, and waiting too long ends here.
    async fn wait_for_start(&self, job: Job, engine: &Engine) -> Result<Option<Job>, StoreError> {
        let now = Timestamp::now();
        if job.stop.is_some() && self.stopped_before_it_began(&job).await? {
            return Ok(None);
        }
        // What was started elsewhere is held as long as its executor points away from it.
        let is_held = matches!(engine, Engine::Elsewhere(_));
        let late = job.queue_deadline.is_some_and(|deadline| deadline <= now);
        if late && !is_held && self.revoke(&job, "queue_timeout").await? == Revocation::Won {
            self.leave_to_cleanup(&job).await?;
            let message = WAITED_TOO_LONG.to_owned();
            self.conclude_failure(&job, Vec::new(), Cause::QueueTimeout, message)
                .await?;
            return Ok(None);
        }
        let reason = match engine {
            Engine::Said(said) if said.phase == Phase::Queued => said.reason.clone(),
            Engine::Said(said) => self.why_unclaimed(&job, &said.phase).await,
            Engine::Silent(_) => Some(format!("executor {} does not answer", self.engine.name)),
            Engine::Elsewhere(why) => Some(why.clone()),
        };
        if job.waiting == reason {
            return Ok(Some(job));
        }
        // Engines have seen the launch's variables, and may quote them.
        let reason = match reason {
            Some(reason) => Some(self.redact(&job, reason).await),
            None => None,
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
        let Some(handle) = job.handle.clone() else {
            return Ok(None);
        };
        tracing::warn!(job_id = %job.id, "the supervisor is gone and its processes are not: ending them");
        let (executor, wake) = (
            Arc::clone(&self.engine.executor),
            Arc::clone(&self.engine.wake),
        );
        self.ask_to_end(&job, "does not end what is left", async move {
            executor.cleanup(&handle).await?;
            wake.notify_one();
            Ok(())
        });
        Ok(Some(job))
    }

    /// The engine says it ended, and nobody claimed. The claim decides whether that is so.
    async fn start_failed(&self, job: Job, engine: &Engine) -> Result<Option<Job>, StoreError> {
        if self.revoke(&job, "it ended before it began").await? == Revocation::Lost {
            return Ok(Some(job));
        }
        let (cause, how) = match job.state {
            // Whoever saw it run saw its claim, too: it has been removed, and what the command had
            // done by then is unknown.
            JobState::Running => (Cause::Lost, "its job directory was removed".to_owned()),
            _ => (
                cause_of(engine).unwrap_or(Cause::StartFailed),
                self.why_it_never_began(&job, engine).await,
            ),
        };
        self.leave_to_cleanup(&job).await?;
        let outcome = Outcome::Failed { cause, how };
        self.conclude(&job, Vec::new(), outcome, None).await?;
        Ok(None)
    }

    /// With the engine's last word, where it has one.
    async fn why_it_never_began(&self, job: &Job, engine: &Engine) -> String {
        let log = async {
            let handle = job.handle.as_ref()?;
            self.engine.executor.engine_log(handle).await
        };
        let log = tokio::time::timeout(LOG_TIMEOUT, log).await;
        let log = log.ok().flatten().unwrap_or_default();
        let mut lines = log.lines().rev().map(str::trim);
        let reason = match engine {
            Engine::Said(said) => said.reason.as_deref(),
            Engine::Silent(_) | Engine::Elsewhere(_) => None,
        };
        match reason.or_else(|| lines.find(|line| !line.is_empty())) {
            Some(line) => format!("the attempt ended before it began: {line}"),
            None => "the attempt ended before it began".to_owned(),
        }
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
            changes.push(Change::Run { stage: None });
        }
        changes.extend(self.last_words(job, look.events).await);
        let over = |phase: &Phase| matches!(phase, Phase::Exited(_) | Phase::Gone);
        let (outcome, is_over) = match engine {
            Engine::Said(said) if over(&said.phase) => {
                (with_reason(outcome, said.reason.as_deref()), true)
            }
            _ => (outcome, false),
        };
        if !is_over || self.engine.executor.keeps_ended() {
            self.leave_to_cleanup(job).await?;
        }
        self.conclude(job, changes, outcome, look.exit).await?;
        Ok(None)
    }
}

/// Whether the engine has nothing of it that could still do something.
fn is_over(engine: &Engine) -> bool {
    match engine {
        Engine::Said(said) => {
            matches!(said.phase, Phase::Exited(_) | Phase::Gone) && !said.leftovers
        }
        Engine::Silent(_) | Engine::Elsewhere(_) => false,
    }
}

/// The engine's own cause of an end, as far as it has one.
fn cause_of(engine: &Engine) -> Option<Cause> {
    match engine {
        Engine::Said(said) => match &said.phase {
            Phase::Exited(exit) => exit.cause,
            _ => None,
        },
        Engine::Silent(_) | Engine::Elsewhere(_) => None,
    }
}

/// What the engine says of an end belongs to how it ended.
fn with_reason(outcome: Outcome, reason: Option<&str>) -> Outcome {
    match (outcome, reason) {
        (Outcome::Failed { cause, how }, Some(reason)) => Outcome::Failed {
            cause,
            how: format!("{how}; {reason}"),
        },
        (outcome, _) => outcome,
    }
}
