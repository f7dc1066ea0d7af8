//! A model run, as Labelbox knows it.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Labelbox, LabelboxError,
    call::{Api, Call},
};
use crate::job::ModelRunId;

/// Captured from labelbox 7.17.0.
const GET_MODEL_RUN: &str = "query GetModelRunPyApi($param_0: ID!)\
    {modelRun(where: {id: $param_0})\
    {createdAt createdBy modelAppId modelId name trainingMetadata id updatedAt}}";

/// A model run.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRun {
    /// The model it belongs to.
    pub model_id: Option<String>,
    /// What people call it; may be empty.
    pub name: String,
    /// The run's config, where people set hyper-parameters: an object, or null when none is set.
    /// Names given when the run was made may come back in camel case, those set later as they are
    /// (labelbox-python: `test_model_run.py`).
    pub training_metadata: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawModelRun {
    model_id: Option<String>,
    name: Option<String>,
    #[serde(default)]
    training_metadata: Value,
}

impl Labelbox {
    /// A model run; none if Labelbox says that there is no such run.
    ///
    /// # Errors
    /// When Labelbox does not answer as it should.
    pub async fn model_run(
        &self,
        model_run_id: &ModelRunId,
    ) -> Result<Option<ModelRun>, LabelboxError> {
        let call = Call {
            api: Api::Graphql,
            query: GET_MODEL_RUN,
            variables: json!({ "param_0": model_run_id }),
            field: "modelRun",
        };
        let raw: Option<RawModelRun> = self.call_if_there(&call).await?;
        Ok(raw.map(ModelRun::from))
    }
}

impl From<RawModelRun> for ModelRun {
    fn from(raw: RawModelRun) -> Self {
        Self {
            model_id: raw.model_id,
            name: raw.name.unwrap_or_default(),
            training_metadata: raw.training_metadata,
        }
    }
}
