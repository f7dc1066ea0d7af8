//! An attempt that nobody has begun yet: what people see of it, and how it is given up.

use jiff::Timestamp;

use super::{
    engine_loop::{EngineLoop, LOG_TIMEOUT},
    stop::Revocation,
};
use crate::{
    job::{Cause, Change, Engine, Job, JobState, Outcome, Phase},
    store::StoreError,
};

/// How a job ends that nobody began in time.
const WAITED_TOO_LONG: &str = "waited longer than its queue_timeout";

impl EngineLoop {
    /// The claim was won here, and what follows from it was never committed: a crash lies between.
    pub(super) async fn finish_revocation(
        &self,
        job: Job,
        reason: &str,
    ) -> Result<Option<Job>, StoreError> {
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
    pub(super) async fn wait_for_start(
        &self,
        job: Job,
        engine: &Engine,
    ) -> Result<Option<Job>, StoreError> {
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

    /// The engine says it ended, and nobody claimed. The claim decides whether that is so.
    pub(super) async fn start_failed(
        &self,
        job: Job,
        engine: &Engine,
    ) -> Result<Option<Job>, StoreError> {
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
