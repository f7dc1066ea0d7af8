//! A model run as Labelbox keeps it, and what a status update does to it.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{dataset::Dataset, graphql::Refusal, imports::Imports};

/// The statuses that Labelbox takes. Source: labelbox 7.17.0, `ModelRun.Status`.
pub const STATUSES: [&str; 5] = [
    "EXPORTING_DATA",
    "PREPARING_DATA",
    "TRAINING_MODEL",
    "COMPLETE",
    "FAILED",
];

/// The longest `errorMessage`, in characters. Source: Labelbox/model-training, pipelines/types.py.
pub const ERROR_MESSAGE_LIMIT: usize = 255;

/// Older entries of a time-line leave beyond this number.
const TIMELINE_LIMIT: usize = 10_000;

/// One accepted status update, as it was sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    /// When it was accepted.
    pub at: Timestamp,
    /// The status.
    pub status: String,
    /// The message of this update, if it had one.
    pub error_message: Option<String>,
    /// The metadata of this update alone, if it had any.
    pub metadata: Option<Map<String, Value>>,
}

/// What Labelbox shows of a run's training: all updates together. All none before the first one.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pipeline {
    /// The last status.
    pub status: Option<String>,
    /// The last message that any update had.
    pub error_message: Option<String>,
    /// The metadata of all updates, merged.
    pub metadata: Option<Map<String, Value>>,
}

/// A model run.
#[derive(Debug)]
pub(super) struct ModelRun {
    pub(super) id: String,
    pub(super) model_id: String,
    pub(super) name: String,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) config: Option<Map<String, Value>>,
    pub(super) pipeline: Pipeline,
    pub(super) timeline: Vec<TimelineEntry>,
    pub(super) dataset: Option<Arc<Dataset>>,
    /// Splits that were assigned, by the row's place.
    pub(super) splits: HashMap<usize, usize>,
    pub(super) imports: Imports,
}

impl ModelRun {
    /// Takes one update: metadata merges, the message sticks, any order of statuses is accepted.
    /// Source: Labelbox/labelbox-python, `test_model_run_status`.
    pub(super) fn update(&mut self, entry: TimelineEntry) {
        self.updated_at = entry.at;
        self.pipeline.status = Some(entry.status.clone());
        if entry.error_message.is_some() {
            self.pipeline.error_message.clone_from(&entry.error_message);
        }
        if let Some(metadata) = &entry.metadata {
            let merged = self.pipeline.metadata.get_or_insert_default();
            merged.extend(metadata.clone());
        }
        if self.timeline.len() == TIMELINE_LIMIT {
            self.timeline.remove(0);
        }
        self.timeline.push(entry);
    }
}

impl TimelineEntry {
    /// Reads the `data` of an update. That a null, a metadata value other than text and a message over
    /// the limit are refused, and how, is a guess: the SDK never sends the first two, and of the third only the
    /// limit is known. A strict emulator shows the mistake.
    pub(super) fn read(data: &Value, at: Timestamp) -> Result<Self, Refusal> {
        let data = data
            .as_object()
            .ok_or_else(|| Refusal::invalid("data must be an UpdateTrainingPipelineInput"))?;
        let known = ["status", "errorMessage", "metadata"];
        if let Some(key) = data.keys().find(|key| !known.contains(&key.as_str())) {
            let text =
                format!("Field \"{key}\" is not defined by type \"UpdateTrainingPipelineInput\".");
            return Err(Refusal::invalid(text));
        }
        Ok(Self {
            at,
            status: read_status(data.get("status"))?,
            error_message: data.get("errorMessage").map(read_message).transpose()?,
            metadata: data.get("metadata").map(read_metadata).transpose()?,
        })
    }
}

fn read_status(value: Option<&Value>) -> Result<String, Refusal> {
    let status = value.and_then(Value::as_str).unwrap_or_default();
    match STATUSES.contains(&status) {
        true => Ok(status.to_owned()),
        false => {
            let found = value.unwrap_or(&Value::Null);
            let names = STATUSES.join(", ");
            Err(Refusal::invalid(format!(
                "status {found} is not one of {names}"
            )))
        }
    }
}

fn read_message(value: &Value) -> Result<String, Refusal> {
    let message = value
        .as_str()
        .ok_or_else(|| Refusal::malformed("errorMessage must be text"))?;
    match message.chars().count() {
        0..=ERROR_MESSAGE_LIMIT => Ok(message.to_owned()),
        _ => Err(Refusal::malformed(
            "Error message cannot exceed 255 characters",
        )),
    }
}

fn read_metadata(value: &Value) -> Result<Map<String, Value>, Refusal> {
    let metadata = value
        .as_object()
        .ok_or_else(|| Refusal::malformed("metadata must be an object"))?;
    match metadata.iter().find(|(_, value)| !value.is_string()) {
        Some((key, _)) => Err(Refusal::malformed(format!("metadata.{key} must be text"))),
        None => Ok(metadata.clone()),
    }
}
