//! Asking Labelbox until it answers: whatever may pass is waited for, as long as the export may take.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use super::{Export, failure::Failure};
use crate::{
    backoff::Backoff,
    labelbox::{Class, Labelbox, LabelboxError},
};

/// Between tries: 0.5 s, 1 s, 2 s, … 2 min, each less up to a quarter.
pub(super) const RETRY: Backoff = Backoff {
    first: Duration::from_millis(500),
    most: Duration::from_secs(120),
};

/// A refusal is believed when it came so many times.
const REFUSALS: u32 = 3;

/// Where people read what is waited for.
const PART: &str = "trouble";

impl Export<'_> {
    /// Asks until there is an answer. `call` gets the client as the settings have it at that moment.
    pub(super) async fn ask<T, F>(
        &self,
        what: &str,
        call: impl Fn(Labelbox) -> F + Send,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, LabelboxError>> + Send,
    {
        let (mut failures, mut refusals) = (0, 0);
        loop {
            let (reason, least) = match self.labelbox() {
                None => {
                    let workspace = &self.job.workspace;
                    (format!("workspace {workspace} is not configured"), None)
                }
                Some(labelbox) => match call(labelbox).await {
                    Ok(answer) => {
                        self.note(PART, None);
                        return Ok(answer);
                    }
                    Err(error) if error.class() == Class::NotFound => {
                        return Err(Failure::Unknown(error));
                    }
                    Err(error) => {
                        refusals += u32::from(error.class() == Class::ParkRun);
                        if refusals == REFUSALS {
                            let message = format!("Labelbox refuses {what}: {error}");
                            return Err(Failure::export(message));
                        }
                        (error.message, error.retry_after)
                    }
                },
            };
            failures += 1;
            self.rest(what, &reason, failures, least).await;
        }
    }

    /// Waits after a failed try, longer each time; people see why.
    pub(super) async fn rest(
        &self,
        what: &str,
        reason: &str,
        failures: u32,
        least: Option<Duration>,
    ) {
        let spread = RandomState::new().hash_one(self.job.id);
        let delay = RETRY
            .delay_spread(failures, spread)
            .max(least.unwrap_or_default());
        tracing::warn!(
            job_id = %self.job.id, model_run_id = %self.job.model_run_id, failures,
            delay_ms = delay.as_millis(), "{what} is tried again: {reason}",
        );
        self.note(PART, format!("{what} is tried again: {reason}"));
        tokio::time::sleep(delay).await;
    }

    fn labelbox(&self) -> Option<Labelbox> {
        let labelboxes = self.transfer.context.labelboxes.get();
        labelboxes.get(&self.job.workspace).map(Labelbox::in_bulk)
    }
}
