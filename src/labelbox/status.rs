//! The status of a run's training: told, and read back.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Kind, Labelbox, LabelboxError,
    call::{Api, Call},
};
use crate::job::{ModelRunId, PipelineStatus, Report};

/// Captured from labelbox 7.17.0.
const UPDATE_STATUS: &str = "mutation setPipelineStatusPyApi($modelRunId: ID!, \
    $data: UpdateTrainingPipelineInput!){ \
    updateTrainingPipeline(modelRun: {id : $modelRunId}, data: $data){status} }";

/// Captured from labelbox 7.17.0.
const READ_PIPELINE: &str = "query trainingPipelinePyApi($modelRunId: ID!) \
    {trainingPipeline(where: {id : $modelRunId}) {status, errorMessage, metadata}}";

/// What Labelbox shows of a run's training. A run never reported has nothing of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pipeline {
    /// The last status, in Labelbox's words.
    pub status: Option<String>,
    /// The last error message; later updates without one do not clear it.
    pub error_message: Option<String>,
    /// All metadata ever told, merged. A value that is not text is given as its JSON.
    pub metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Update {
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPipeline {
    status: Option<String>,
    error_message: Option<String>,
    metadata: Option<Map<String, Value>>,
}

impl Labelbox {
    /// Tells Labelbox where a run stands, once, and checks that it took the status.
    ///
    /// # Errors
    /// Whenever Labelbox did not confirm the status; `ambiguous` says whether it may have taken it
    /// nevertheless. [`Kind::NotFound`] if it says that there is no such run, which the official SDK
    /// takes for success.
    pub async fn update_status(
        &self,
        model_run_id: &ModelRunId,
        report: &Report,
    ) -> Result<(), LabelboxError> {
        let call = Call {
            api: Api::Experimental,
            query: UPDATE_STATUS,
            variables: json!({ "modelRunId": model_run_id, "data": update_data(report) }),
            field: "updateTrainingPipeline",
        };
        let told: Option<Update> = self.call(&call).await?;
        let told = told.and_then(|update| update.status);
        match told.as_deref() {
            Some(status) if status == report.status.as_str() => Ok(()),
            told => Err(not_taken(report.status, told)),
        }
    }

    /// What Labelbox shows of a run's training.
    ///
    /// # Errors
    /// When Labelbox does not answer as it should; [`Kind::NotFound`] if it knows no such run.
    pub async fn read_pipeline(
        &self,
        model_run_id: &ModelRunId,
    ) -> Result<Pipeline, LabelboxError> {
        let call = Call {
            api: Api::Experimental,
            query: READ_PIPELINE,
            variables: json!({ "modelRunId": model_run_id }),
            field: "trainingPipeline",
        };
        let raw: Option<RawPipeline> = self.call(&call).await?;
        let raw = raw.ok_or_else(|| {
            LabelboxError::new(Kind::NotFound, "labelbox knows no training of this run")
        })?;
        Ok(Pipeline {
            status: raw.status,
            error_message: raw.error_message,
            metadata: raw.metadata.into_iter().flatten().map(as_text).collect(),
        })
    }
}

/// What is empty is left out, never null, as the official SDK does.
fn update_data(report: &Report) -> Value {
    let mut data = json!({ "status": report.status });
    if let Some(message) = report.error_message.as_deref().filter(|m| !m.is_empty()) {
        data["errorMessage"] = message.into();
    }
    if !report.metadata.is_empty() {
        data["metadata"] = json!(report.metadata);
    }
    data
}

/// Only words that we know ourselves are repeated: the answer could hold anything.
fn not_taken(sent: PipelineStatus, told: Option<&str>) -> LabelboxError {
    let told = match told.map(str::parse::<PipelineStatus>) {
        Some(Ok(status)) => status.as_str(),
        Some(Err(_)) => "an unknown status",
        None => "no status",
    };
    LabelboxError::unexpected(format!("{sent} was sent, {told} came back"))
}

fn as_text((name, value): (String, Value)) -> (String, String) {
    match value {
        Value::String(text) => (name, text),
        other => (name, other.to_string()),
    }
}
