//! What Labelbox is told, and within which limits.

use std::collections::BTreeMap;

use super::state::{InvalidWord, words};
use super::{Job, JobKind, JobState, Progress, Stage};
use serde::{Deserialize, Serialize};

/// The longest `errorMessage` Labelbox takes, in characters (Labelbox/model-training: pipelines/types.py).
pub const ERROR_MESSAGE_LIMIT: usize = 255;

words! {
    /// The five words Labelbox knows (captured from labelbox 7.17.0).
    PipelineStatus {
        /// Accepted, or data is being fetched, or waiting for a slot.
        ExportingData = "EXPORTING_DATA",
        /// On its way to a machine, or getting ready there.
        PreparingData = "PREPARING_DATA",
        /// Training, or its predictions are being imported.
        TrainingModel = "TRAINING_MODEL",
        /// Done, truthfully.
        Complete = "COMPLETE",
        /// Failed or cancelled.
        Failed = "FAILED",
    }
}

/// Under which a run's metadata warn of its config.
const CONFIG_WARNING: &str = "config_warning";

impl PipelineStatus {
    /// True for the two that end a run's story.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Complete | Self::Failed)
    }
}

/// One status update owed to Labelbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The status.
    pub status: PipelineStatus,
    /// At most [`ERROR_MESSAGE_LIMIT`] characters; only with FAILED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Flat, strings only; Labelbox merges it into what it has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl Job {
    /// The status that this job's state stands for in Labelbox.
    #[must_use]
    pub fn pipeline_status(&self) -> PipelineStatus {
        match (self.state, self.stage) {
            // A second attempt has its data already: going back to EXPORTING_DATA would be a lie.
            (JobState::Exporting | JobState::Queued, _) if self.attempt > 1 => {
                PipelineStatus::PreparingData
            }
            (JobState::Accepted | JobState::Exporting | JobState::Queued, _) => {
                PipelineStatus::ExportingData
            }
            (JobState::Submitting | JobState::Pending, _) => PipelineStatus::PreparingData,
            (JobState::Running, Some(Stage::Preparing)) => PipelineStatus::PreparingData,
            (JobState::Running | JobState::Uploading, _) => PipelineStatus::TrainingModel,
            (JobState::Succeeded, _) => PipelineStatus::Complete,
            (JobState::Failed | JobState::Cancelled, _) => PipelineStatus::Failed,
        }
    }

    /// The report that tells Labelbox where this job stands now.
    #[must_use]
    pub fn report(&self) -> Report {
        let status = self.pipeline_status();
        let reason = self.message.as_deref().unwrap_or("no reason was recorded");
        Report {
            status,
            error_message: (status == PipelineStatus::Failed)
                .then(|| error_message(reason, &[&format!("job {}", self.id)])),
            metadata: self.metadata(),
        }
    }

    /// What was trained with and what came of it, as far as a command ran: also where the job fails in the end, since a
    /// training whose predictions were refused has its numbers all the same.
    fn metadata(&self) -> BTreeMap<String, String> {
        let mut metadata = BTreeMap::new();
        // Whoever set it looks at the run, not at our timelines, and before anything runs.
        let doubts = self.config_warning();
        metadata.extend(doubts.map(|text| (CONFIG_WARNING.to_owned(), text)));
        let is_over = self.state.is_terminal();
        let runs_or_ran = match self.state {
            JobState::Running | JobState::Uploading | JobState::Succeeded => true,
            JobState::Failed | JobState::Cancelled => {
                self.started_at.is_some() || self.kind == JobKind::Upload
            }
            _ => false,
        };
        if !runs_or_ran {
            return metadata;
        }
        let Progress {
            metrics, artifacts, ..
        } = &self.progress;
        let told = metrics.iter();
        metadata.extend(told.map(|(name, value)| (name.clone(), value.to_string())));
        match (self.progress.percent, self.state) {
            (Some(_), JobState::Succeeded) => {
                metadata.insert("progress".to_owned(), "100%".to_owned());
            }
            (Some(percent), _) if !is_over => {
                metadata.insert("progress".to_owned(), format!("{}%", percent.round()));
            }
            _ => {}
        }
        metadata.insert("trainhook_job".to_owned(), self.id.to_string());
        let used = self.params().iter();
        metadata.extend(used.map(|(name, value)| (format!("param_{name}"), value.as_text())));
        if is_over {
            metadata.extend(artifacts.clone());
        }
        metadata
    }
}

/// Joins the reason and what else is worth telling, within Labelbox's limit: the reason first and
/// cut on a character boundary, each of `extras` only if it fits whole.
#[must_use]
pub fn error_message(reason: &str, extras: &[&str]) -> String {
    let mut text: String = match reason.chars().count() {
        n if n <= ERROR_MESSAGE_LIMIT => reason.to_owned(),
        _ => reason
            .chars()
            .take(ERROR_MESSAGE_LIMIT - 1)
            .chain(['…'])
            .collect(),
    };
    for extra in extras {
        let longer = format!("{text} ({extra})");
        if longer.chars().count() <= ERROR_MESSAGE_LIMIT {
            text = longer;
        }
    }
    text
}
