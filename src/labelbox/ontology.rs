//! What a model's runs are labelled with.

use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::{
    Labelbox, LabelboxError,
    call::{Api, Call},
};
use crate::dataset::{AnswerOption, Classification, Ontology, Tool};

/// Captured from labelbox 7.17.0.
const GET_ONTOLOGY_ID: &str =
    "query modelOntologyPyApi($modelId: ID!){ model(where: {id: $modelId}) {ontologyId}}";

/// Captured from labelbox 7.17.0.
const GET_ONTOLOGY: &str = "query GetOntologyPyApi($param_0: ID!){ontology(where: {id: $param_0})\
    {classificationSchemaCount createdAt description mediaType name normalized objectSchemaCount id updatedAt}}";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    ontology_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOntology {
    id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    media_type: Option<String>,
    normalized: Normalized,
}

/// As the SDK reads it (labelbox 7.17.0: `schema/ontology.py`).
#[derive(Deserialize)]
struct Normalized {
    #[serde(default, deserialize_with = "list")]
    tools: Vec<RawTool>,
    #[serde(default, deserialize_with = "list")]
    classifications: Vec<RawClassification>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTool {
    feature_schema_id: String,
    name: String,
    tool: String,
    #[serde(default, deserialize_with = "list")]
    classifications: Vec<RawClassification>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawClassification {
    feature_schema_id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    instructions: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "list")]
    options: Vec<RawOption>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOption {
    feature_schema_id: String,
    label: String,
    #[serde(default)]
    value: Option<String>,
    /// Labelbox keeps the questions that follow an answer under this name.
    #[serde(default, deserialize_with = "list")]
    options: Vec<RawClassification>,
}

impl Labelbox {
    /// The ontology of a model; none if it has none.
    ///
    /// # Errors
    /// When Labelbox does not answer as it should.
    pub async fn ontology_of_model(
        &self,
        model_id: &str,
    ) -> Result<Option<Ontology>, LabelboxError> {
        let call = Call {
            api: Api::Graphql,
            query: GET_ONTOLOGY_ID,
            variables: json!({ "modelId": model_id }),
            field: "model",
        };
        let model: Option<Model> = self.call(&call).await?;
        let Some(id) = model.and_then(|model| model.ontology_id) else {
            return Ok(None);
        };
        let call = Call {
            api: Api::Graphql,
            query: GET_ONTOLOGY,
            variables: json!({ "param_0": id }),
            field: "ontology",
        };
        let raw: Option<RawOntology> = self.call(&call).await?;
        Ok(raw.map(Ontology::from))
    }
}

impl From<RawOntology> for Ontology {
    fn from(raw: RawOntology) -> Self {
        Self {
            id: raw.id,
            name: raw.name.unwrap_or_default(),
            media_type: raw.media_type,
            tools: raw.normalized.tools.into_iter().map(tool).collect(),
            classifications: classifications(raw.normalized.classifications),
        }
    }
}

fn tool(raw: RawTool) -> Tool {
    Tool {
        name: raw.name,
        schema_id: raw.feature_schema_id,
        kind: raw.tool,
        classifications: classifications(raw.classifications),
    }
}

/// A null is as good as an empty list.
fn list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let list = Option::deserialize(deserializer)?;
    Ok(list.unwrap_or_default())
}

fn classifications(raw: Vec<RawClassification>) -> Vec<Classification> {
    let classification = |raw: RawClassification| Classification {
        name: raw.name.or(raw.instructions).unwrap_or_default(),
        schema_id: raw.feature_schema_id,
        kind: raw.kind,
        options: raw.options.into_iter().map(option).collect(),
    };
    raw.into_iter().map(classification).collect()
}

fn option(raw: RawOption) -> AnswerOption {
    AnswerOption {
        value: raw.value.unwrap_or_else(|| raw.label.clone()),
        name: raw.label,
        schema_id: raw.feature_schema_id,
        classifications: classifications(raw.options),
    }
}
