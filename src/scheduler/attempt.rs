//! One look at an attempt that the engine has: weigh the evidence, act on the verdict, say when to look again.

use std::{io, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{engine_loop::EngineLoop, look::Look};
use crate::{
    job::{
        Change, Engine, Evidence, Job, JobState, Outcome, Phase, STOP_PATIENCE, Verdict, verdict,
    },
    job_dir::Claimant,
    store::StoreError,
};

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
