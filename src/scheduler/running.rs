//! An attempt whose command runs: what it told is recorded, and why it rests, and a wish to stop is passed on.

use jiff::Timestamp;

use super::{engine_loop::EngineLoop, look::Look};
use crate::{
    job::{Change, Engine, Job, JobState, Phase},
    store::StoreError,
};

impl EngineLoop {
    /// The command runs: record what it told, and pass on a wish to stop.
    pub(super) async fn go_on(
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
}
