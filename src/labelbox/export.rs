//! Exporting a model run's data: the task, its progress, and where its result lies.
//!
//! The calls are those of the official SDK's `ModelRun.export()` (captured from labelbox 7.17.0).

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::json;

use super::{
    Labelbox, LabelboxError,
    call::{Api, Call},
};
use crate::{config::Parts, job::ModelRunId};

const CREATE_EXPORT: &str = "mutation exportDataRowsInModelRunPyApi($input: ExportDataRowsInModelRunInput!)\
    {exportDataRowsInModelRun(input: $input){taskId isStreamable}}";

const GET_USER: &str = "query GetUserPyApi\
    {user{createdAt email isExternalUser isViewer lastLoginAt nickname name picture id updatedAt}}";

const GET_TASK: &str = "query GetUserCreatedTasksPyApi($param_0: ID!, $param_1: ID!)\
    {user(where: {id: $param_1}){createdTasks(where: {id: $param_0} skip: 0 first: 100)\
    {completionPercentage createdAt errors metadata name result status status type id updatedAt}}}";

/// The form that the SDK gives a search for tasks by another field than their id (labelbox 7.17.0, not captured).
const FIND_TASKS: &str = "query GetUserCreatedTasksPyApi($param_0: String!, $param_1: ID!)\
    {user(where: {id: $param_1}){createdTasks(where: {name: $param_0} skip: 0 first: 100)\
    {completionPercentage createdAt errors metadata name result status status type id updatedAt}}}";

const GET_SIZE: &str = "query GetExportMetadataHeaderPyApi($where: WhereUniqueIdInput, $streamType: TaskStreamType!)\
    {task(where: $where){exportMetadataHeader(streamType: $streamType){totalSize totalLines}}}";

const GET_FILE: &str = "query GetExportFileFromOffsetPyApi\
    ($where: WhereUniqueIdInput, $streamType: TaskStreamType!, $offset: UInt64!)\
    {task(where: $where){exportFileFromOffset(streamType: $streamType, offset: $offset)\
    {offsets {start end} lines {start end} file}}}";

/// How far an export is.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportTask {
    /// Where it stands.
    pub state: TaskState,
    /// 0 to 100, where Labelbox tells.
    pub percent: Option<f64>,
    /// What went wrong, in Labelbox's words.
    pub error: Option<String>,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// Labelbox works on it.
    InProgress,
    /// Its result lies ready.
    Complete,
    /// It failed, was cancelled, or bears a word that nobody knows.
    Failed,
}

/// How large a result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportSize {
    /// In bytes.
    #[serde(rename = "totalSize", deserialize_with = "unsigned")]
    pub bytes: u64,
    /// In lines, one for each data row.
    #[serde(rename = "totalLines", deserialize_with = "unsigned")]
    pub lines: u64,
}

/// A piece of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportFile {
    /// Where in the whole it begins, in bytes.
    pub start: u64,
    /// Where it ends; the byte there belongs to the next piece.
    pub end: u64,
    /// Where it can be fetched for a while, without a key.
    pub url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    task_id: String,
    #[serde(default)]
    is_streamable: bool,
}

#[derive(Deserialize)]
struct User {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tasks {
    #[serde(default)]
    created_tasks: Vec<RawTask>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTask {
    id: String,
    #[serde(default)]
    name: Option<String>,
    status: String,
    #[serde(default)]
    completion_percentage: Option<f64>,
    #[serde(default)]
    errors: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Headed {
    export_metadata_header: Option<ExportSize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filed {
    export_file_from_offset: Option<RawFile>,
}

#[derive(Deserialize)]
struct RawFile {
    offsets: Offsets,
    file: String,
}

#[derive(Deserialize)]
struct Offsets {
    #[serde(deserialize_with = "unsigned")]
    start: u64,
    #[serde(deserialize_with = "unsigned")]
    end: u64,
}

impl Labelbox {
    /// Begins an export of the run's data; answers the task's id.
    ///
    /// # Errors
    /// When Labelbox does not answer as it should.
    pub async fn create_export(
        &self,
        run: &ModelRunId,
        task_name: &str,
        parts: Parts,
    ) -> Result<String, LabelboxError> {
        let input = json!({
            "taskName": task_name,
            "filters": { "modelRunId": run },
            "isStreamableReady": true,
            "params": {
                "mediaTypeOverride": null,
                "includeAttachments": parts.attachments,
                "includeEmbeddings": parts.embeddings,
                "includeMetadata": parts.metadata,
                "includeDataRowDetails": false,
                "includePredictions": parts.predictions,
                "includeModelRunDetails": false,
            },
            "streamable": true,
        });
        let call = Call {
            api: Api::Graphql,
            query: CREATE_EXPORT,
            variables: json!({ "input": input }),
            field: "exportDataRowsInModelRun",
        };
        let created: Created = self.call_for(&call).await?;
        match created.is_streamable {
            true => Ok(created.task_id),
            false => Err(LabelboxError::unexpected("the export cannot be streamed")),
        }
    }

    /// The id of the user whose API key this is; tasks are listed by it.
    ///
    /// # Errors
    /// When Labelbox does not answer as it should.
    pub async fn user_id(&self) -> Result<String, LabelboxError> {
        let call = Call {
            api: Api::Graphql,
            query: GET_USER,
            variables: json!({}),
            field: "user",
        };
        Ok(self.call_for::<User>(&call).await?.id)
    }

    /// How far a task of this user is; none if Labelbox does not know it.
    ///
    /// # Errors
    /// When Labelbox does not answer as it should.
    pub async fn export_task(
        &self,
        user_id: &str,
        task_id: &str,
    ) -> Result<Option<ExportTask>, LabelboxError> {
        let call = Call {
            api: Api::Graphql,
            query: GET_TASK,
            variables: json!({ "param_0": task_id, "param_1": user_id }),
            field: "user",
        };
        let tasks: Option<Tasks> = self.call(&call).await?;
        let tasks = tasks.map(|tasks| tasks.created_tasks).unwrap_or_default();
        let task = tasks.into_iter().find(|task| task.id == task_id);
        Ok(task.map(ExportTask::from))
    }

    /// A task of this user's with that name, which works or is done and is none of `given_up`; none if Labelbox knows of
    /// none.
    ///
    /// # Errors
    /// When Labelbox does not answer as it should.
    pub async fn find_export(
        &self,
        user_id: &str,
        task_name: &str,
        given_up: &[String],
    ) -> Result<Option<String>, LabelboxError> {
        let call = Call {
            api: Api::Graphql,
            query: FIND_TASKS,
            variables: json!({ "param_0": task_name, "param_1": user_id }),
            field: "user",
        };
        let tasks: Option<Tasks> = self.call(&call).await?;
        let tasks = tasks.map(|tasks| tasks.created_tasks).unwrap_or_default();
        let is_ours = |task: &RawTask| {
            task.name.as_deref() == Some(task_name)
                && state_of(&task.status) != TaskState::Failed
                && !given_up.contains(&task.id)
        };
        Ok(tasks.into_iter().find(is_ours).map(|task| task.id))
    }

    /// How large the task's result is; none if it has none, because no row was found.
    ///
    /// # Errors
    /// When Labelbox does not answer as it should.
    pub async fn export_size(&self, task_id: &str) -> Result<Option<ExportSize>, LabelboxError> {
        let call = Call {
            api: Api::Graphql,
            query: GET_SIZE,
            variables: json!({ "where": { "id": task_id }, "streamType": "RESULT" }),
            field: "task",
        };
        let headed: Headed = self.call_for(&call).await?;
        Ok(headed.export_metadata_header)
    }

    /// The piece of the task's result that holds the byte at `offset`.
    ///
    /// # Errors
    /// When Labelbox does not answer as it should.
    pub async fn export_file(
        &self,
        task_id: &str,
        offset: u64,
    ) -> Result<ExportFile, LabelboxError> {
        let call = Call {
            api: Api::Graphql,
            query: GET_FILE,
            variables: json!({
                "where": { "id": task_id }, "streamType": "RESULT", "offset": offset.to_string(),
            }),
            field: "task",
        };
        let filed: Filed = self.call_for(&call).await?;
        let Some(RawFile { offsets, file }) = filed.export_file_from_offset else {
            let what = format!("it has no file for offset {offset}");
            return Err(LabelboxError::unexpected(what));
        };
        // On the wire the end is the last byte's own place.
        let end = offsets.end.saturating_add(1);
        match offsets.start <= offset && offset < end {
            true => Ok(ExportFile {
                start: offsets.start,
                end,
                url: file,
            }),
            false => {
                let what = format!("its file for offset {offset} holds other bytes");
                Err(LabelboxError::unexpected(what))
            }
        }
    }
}

impl From<RawTask> for ExportTask {
    fn from(raw: RawTask) -> Self {
        let state = state_of(&raw.status);
        let error = match raw.errors {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some(text),
            other => Some(other.to_string()),
        };
        Self {
            state,
            percent: raw.completion_percentage,
            error: error.or_else(|| Some(raw.status).filter(|_| state == TaskState::Failed)),
        }
    }
}

fn state_of(status: &str) -> TaskState {
    // The SDK, too, goes on waiting at this one word only.
    match status {
        "IN_PROGRESS" => TaskState::InProgress,
        "COMPLETE" => TaskState::Complete,
        _ => TaskState::Failed,
    }
}

/// A number that may come as a text, since not every client has 64 bits.
fn unsigned<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let number = match &value {
        serde_json::Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    };
    number.ok_or_else(|| D::Error::custom("no whole number"))
}
