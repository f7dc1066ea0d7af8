//! The end of an attempt: stopped, succeeded, failed, or worth another one.

use std::time::Duration;

use jiff::Timestamp;

use super::engine_loop::EngineLoop;
use crate::{
    backoff::Backoff,
    config::{EnvValue, Predictions, format_size},
    job::{Cause, Change, Job, Outcome},
    job_dir::{ExitRecord, KEEPER_LOST},
    store::StoreError,
};

/// The longest wait before a new attempt.
const LONGEST_RETRY_WAIT: Duration = Duration::from_secs(1800);

impl EngineLoop {
    /// Records how an attempt ended. A wish to stop beats everything, also exit 0.
    pub(super) async fn conclude(
        &self,
        job: &Job,
        mut changes: Vec<Change>,
        outcome: Outcome,
        record: Option<ExitRecord>,
    ) -> Result<(), StoreError> {
        if job.stop.is_some() {
            return self.conclude_stop(job, changes).await;
        }
        match outcome {
            Outcome::Succeeded => {
                changes.push(match job.entry.predictions {
                    Predictions::None => Change::Succeed,
                    Predictions::Required | Predictions::Optional => Change::Upload,
                });
                self.record(job, changes).await
            }
            Outcome::Failed { cause, how } => {
                let reason = match record.and_then(|record| record.reason) {
                    Some(reason) => Some(self.redact(job, reason).await),
                    None => None,
                };
                self.conclude_failure(job, changes, cause, message_of(job, cause, reason, how))
                    .await
            }
        }
    }

    /// Records a failure, or that a new attempt may cure it.
    pub(super) async fn conclude_failure(
        &self,
        job: &Job,
        mut changes: Vec<Change>,
        cause: Cause,
        message: String,
    ) -> Result<(), StoreError> {
        // Engines and their logs may repeat what they were handed.
        let message = self.redact(job, message).await;
        let retry = &job.entry.retry;
        let again = job.stop.is_none()
            && cause.is_infrastructure()
            && retry.on.contains(&cause)
            && job.attempt <= retry.max;
        changes.push(if again {
            let backoff = Backoff {
                first: Duration::from_millis(retry.backoff_ms),
                most: LONGEST_RETRY_WAIT,
            };
            Change::Retry {
                cause,
                message,
                not_before: Timestamp::now() + backoff.delay(job.attempt),
            }
        } else {
            Change::Fail { cause, message }
        });
        self.record(job, changes).await
    }

    pub(super) async fn record(&self, job: &Job, changes: Vec<Change>) -> Result<(), StoreError> {
        let failure = changes.iter().find_map(|change| match change {
            Change::Fail { cause, message } | Change::Retry { cause, message, .. } => {
                Some((cause.as_str(), message.clone()))
            }
            _ => None,
        });
        let ended = self.store().change(job, changes, Timestamp::now()).await?;
        self.forget(job);
        let (cause, message) = failure.unzip();
        let message = message.or(ended.message);
        let why = message.map_or_else(String::new, |message| format!(": {message}"));
        tracing::info!(
            job_id = %job.id, model_run_id = %job.model_run_id, launch_id = %job.launch_id(), cause,
            "the attempt is over, the job is {}{why}", ended.state,
        );
        Ok(())
    }

    /// Takes every secret that a command could have printed out of the text.
    pub(super) async fn redact(&self, job: &Job, text: String) -> String {
        let of_model = job.entry.env.values().filter_map(|value| match value {
            EnvValue::Secret(reference) => Some(reference.clone()),
            EnvValue::Text(_) => None,
        });
        let (of_model, secrets) = (of_model.collect::<Vec<_>>(), self.context.secrets.get());
        let redacted = tokio::task::spawn_blocking(move || secrets.redact(&of_model, text));
        redacted.await.unwrap_or_else(|error| {
            tracing::error!(job_id = %job.id, "a text could not be searched for secrets: {error}");
            "not shown, since it could not be searched for secrets".to_owned()
        })
    }
}

/// Whether nobody asked for another try: what the command said last is no reason then.
fn is_keepers_end(cause: Cause, how: &str) -> bool {
    cause == Cause::Infra && how.starts_with(KEEPER_LOST)
}

/// With what its model asks for, which is the limit where the engine has one.
fn out_of_memory(job: &Job) -> String {
    match job.entry.resources.memory {
        Some(bytes) => format!("out of memory, having asked for {}", format_size(bytes)),
        None => "out of memory".to_owned(),
    }
}

/// The reason first, then how it ended.
fn message_of(job: &Job, cause: Cause, reason: Option<String>, how: String) -> String {
    let what = match reason.filter(|_| !is_keepers_end(cause, &how)) {
        Some(reason) if reason.contains(&how) => reason,
        Some(reason) => format!("{reason} ({how})"),
        None => how.clone(),
    };
    match cause {
        Cause::OutOfMemory => format!("{}: {what}", out_of_memory(job)),
        Cause::RunTimeout => format!("ran longer than its run_timeout: {what}"),
        Cause::Preempted => format!("preempted: {what}"),
        Cause::NodeLost => format!("the machine went down: {what}"),
        Cause::Infra if is_keepers_end(cause, &how) => how,
        Cause::Infra => format!("asked to be tried again: {what}"),
        Cause::Lost => format!("the attempt was lost: {what}"),
        _ => what,
    }
}
