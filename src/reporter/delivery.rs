//! One delivery: send, understand the answer, record what became of it.

use std::time::Duration;

use jiff::Timestamp;

use super::{Reporter, fingerprint};
use crate::{
    backoff::Backoff,
    job::{PipelineStatus, Report, error_message},
    labelbox::{Class, Labelbox, LabelboxError},
    store::{Delivery, OwedRun, Park, Postponed, Settlement, StoreError},
};

/// Between tries of one run: 1 s, 2 s, 4 s, … 2 min, each less up to a quarter.
const RETRY_BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    most: Duration::from_secs(120),
};

/// A request that was lost within this time before a final may still be applied after it.
const AMBIGUOUS_WINDOW: Duration = Duration::from_secs(600);

/// What a COMPLETE says where an earlier failure's text would otherwise stay.
const FRESH_MESSAGE: &str = "completed: this text replaces the message of an earlier failure";

impl Reporter {
    /// Delivers the next report of a run, if there is one.
    pub(super) async fn deliver_next(&self, run: &OwedRun) -> Result<(), StoreError> {
        // Asked anew: the list that named the run may be older than the end of its last delivery.
        let next = self.store.next_delivery(run, Timestamp::now());
        let Some(delivery) = next.await? else {
            return Ok(());
        };
        let labelboxes = self.labelboxes.get();
        let parked_retry = self.config.get().reporting.parked_retry;
        let Some(labelbox) = labelboxes.get(&run.workspace) else {
            let error = format!("workspace {} is not configured", run.workspace);
            let settlement = self.postpone(error, parked_retry, Park::Run, false, false);
            return self
                .store
                .settle(&delivery, settlement, Timestamp::now())
                .await;
        };
        // Read before the call: a key that is replaced during it counts as new when this one is refused.
        let key = fingerprint(labelbox).await;
        let sent = self.send(labelbox, &delivery).await;
        let settlement = match sent {
            Ok(note) => self.delivered(&delivery, note).await?,
            Err(error) => {
                if error.class() == Class::ParkWorkspace {
                    self.keys().insert(delivery.workspace.clone(), key);
                }
                self.failed(labelbox, &delivery, error).await
            }
        };
        log(&delivery, &settlement);
        self.store
            .settle(&delivery, settlement, Timestamp::now())
            .await
    }

    /// Sends it; a refusal that concerns this report alone is followed by one try with the bare status.
    async fn send(
        &self,
        labelbox: &Labelbox,
        delivery: &Delivery,
    ) -> Result<Option<String>, LabelboxError> {
        let run = &delivery.model_run_id;
        let report = self.dress(labelbox, delivery).await?;
        let Err(error) = labelbox.update_status(run, &report).await else {
            return Ok(None);
        };
        let bare = Report {
            status: report.status,
            error_message: None,
            metadata: Default::default(),
        };
        if error.class() != Class::ParkRun || bare == report {
            return Err(error);
        }
        let sent = labelbox.update_status(run, &bare).await;
        // Only a second refusal confirms the first; anything else says what to do about itself.
        sent.map_err(|second| match second.class() {
            Class::ParkRun => error.clone(),
            _ => second,
        })?;
        Ok(Some(format!(
            "sent as a bare status, because Labelbox refused the rest: {error}"
        )))
    }

    /// What only the moment of sending knows: the link to the job, and whether an earlier failure's
    /// text sticks to a run that is complete now.
    async fn dress(
        &self,
        labelbox: &Labelbox,
        delivery: &Delivery,
    ) -> Result<Report, LabelboxError> {
        let mut report = delivery.report.clone();
        if let (Some(message), Some(link)) = (&report.error_message, self.link(delivery.job)) {
            report.error_message = Some(error_message(message, &[&link]));
        }
        if report.status == PipelineStatus::Complete
            && self.shows_old_message(labelbox, delivery).await?
        {
            report.error_message = Some(FRESH_MESSAGE.to_owned());
        }
        Ok(report)
    }

    async fn shows_old_message(
        &self,
        labelbox: &Labelbox,
        delivery: &Delivery,
    ) -> Result<bool, LabelboxError> {
        match labelbox.read_pipeline(&delivery.model_run_id).await {
            Ok(pipeline) => Ok(pipeline.error_message.is_some_and(|text| !text.is_empty())),
            // A text is not worth a final: what Labelbox thinks of the run, the update will tell.
            Err(error) if matches!(error.class(), Class::ParkRun | Class::NotFound) => {
                tracing::warn!(job_id = %delivery.job, "an old message cannot be looked for: {error}");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn delivered(
        &self,
        delivery: &Delivery,
        note: Option<String>,
    ) -> Result<Settlement, StoreError> {
        let now = Timestamp::now();
        let is_final = delivery.report.status.is_final();
        let lost = if is_final {
            self.store.ambiguous_since(delivery).await?
        } else {
            None
        };
        let may_overtake = lost.is_some_and(|at| {
            Duration::try_from(now.duration_since(at)).is_ok_and(|age| age < AMBIGUOUS_WINDOW)
        });
        let read_back_at = may_overtake.then(|| now + self.config.get().reporting.read_back_after);
        Ok(Settlement::Delivered { note, read_back_at })
    }

    async fn failed(
        &self,
        labelbox: &Labelbox,
        delivery: &Delivery,
        error: LabelboxError,
    ) -> Settlement {
        let backoff = RETRY_BACKOFF.delay_spread(delivery.failures + 1, spread(delivery));
        let (text, parked) = (error.to_string(), self.config.get().reporting.parked_retry);
        let ambiguous = error.ambiguous;
        match error.class() {
            Class::Retry => {
                let delay = error
                    .retry_after
                    .map_or(backoff, |wanted| wanted.max(backoff));
                self.postpone(
                    text,
                    delay,
                    Park::No,
                    error.retry_after.is_some(),
                    ambiguous,
                )
            }
            Class::ParkWorkspace => self.postpone(text, parked, Park::Workspace, true, ambiguous),
            Class::ParkRun => self.postpone(text, parked, Park::Run, false, ambiguous),
            // Only a second answer ends a run's reports: the update's own word is not enough.
            Class::NotFound => match labelbox.model_run(&delivery.model_run_id).await {
                Ok(None) => Settlement::Ended {
                    note: "Labelbox says that the model run does not exist".to_owned(),
                },
                Ok(Some(_)) => self.postpone(text, parked, Park::Run, false, ambiguous),
                Err(second) => {
                    self.postpone(second.to_string(), backoff, Park::No, false, ambiguous)
                }
            },
        }
    }

    fn postpone(
        &self,
        error: String,
        delay: Duration,
        park: Park,
        whole_workspace: bool,
        ambiguous: bool,
    ) -> Settlement {
        let next_try_at = Timestamp::now() + delay;
        Settlement::Postponed(Postponed {
            error,
            next_try_at,
            park,
            whole_workspace,
            ambiguous,
        })
    }
}

/// Any number that differs between runs.
fn spread(delivery: &Delivery) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(&delivery.model_run_id)
}

/// Each outcome is logged once, here; what is parked is loud.
fn log(delivery: &Delivery, settlement: &Settlement) {
    let Delivery {
        workspace,
        model_run_id,
        job,
        report,
        ..
    } = delivery;
    let status = report.status;
    match settlement {
        Settlement::Delivered { note, .. } => {
            tracing::info!(workspace, %model_run_id, job_id = %job, %status, note, "told Labelbox");
        }
        Settlement::Postponed(Postponed {
            error,
            park: Park::No,
            ..
        }) => {
            tracing::warn!(workspace, %model_run_id, job_id = %job, %status, "Labelbox cannot be told yet: {error}");
        }
        Settlement::Postponed(Postponed { error, .. }) => {
            tracing::error!(workspace, %model_run_id, job_id = %job, %status, "parked, Labelbox refuses: {error}");
        }
        Settlement::Ended { note } => {
            tracing::error!(workspace, %model_run_id, job_id = %job, %status, "its reports end: {note}");
        }
    }
}
