//! What may be labelled, and so what may be predicted: `data/ontology.json`.

use serde::{Deserialize, Serialize};

/// The ontology of a model, by names and schema ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ontology {
    /// Labelbox's id of it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `IMAGE`, `TEXT` and so on, where Labelbox tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What is drawn or marked on a row.
    #[serde(default)]
    pub tools: Vec<Tool>,
    /// What is asked of a row as a whole.
    #[serde(default)]
    pub classifications: Vec<Classification>,
}

/// Something that is drawn or marked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name, as people and predictions use it.
    pub name: String,
    /// Labelbox's id of it.
    pub schema_id: String,
    /// Labelbox's word: `rectangle`, `polygon`, `line`, `point`, `named-entity`, `raster-segmentation`…
    pub kind: String,
    /// What is asked of each object.
    #[serde(default)]
    pub classifications: Vec<Classification>,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classification {
    /// Its name, as people and predictions use it.
    pub name: String,
    /// Labelbox's id of it.
    pub schema_id: String,
    /// Labelbox's word: `radio`, `checklist`, `text`…
    pub kind: String,
    /// The answers that there are; none for free text.
    #[serde(default)]
    pub options: Vec<AnswerOption>,
}

/// An answer that may be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerOption {
    /// Its name, as people and predictions use it.
    pub name: String,
    /// Labelbox's id of it.
    pub schema_id: String,
    /// Labelbox's short form of the name.
    pub value: String,
    /// What is asked once this answer is given.
    #[serde(default)]
    pub classifications: Vec<Classification>,
}

impl Ontology {
    /// The tool of that name or schema id.
    #[must_use]
    pub fn tool(&self, name_or_id: &str) -> Option<&Tool> {
        let is = |tool: &&Tool| tool.name == name_or_id || tool.schema_id == name_or_id;
        self.tools.iter().find(is)
    }

    /// The question of that name or schema id that is asked of whole rows.
    #[must_use]
    pub fn classification(&self, name_or_id: &str) -> Option<&Classification> {
        classification(&self.classifications, name_or_id)
    }
}

impl Tool {
    /// The question of that name or schema id that is asked of each object.
    #[must_use]
    pub fn classification(&self, name_or_id: &str) -> Option<&Classification> {
        classification(&self.classifications, name_or_id)
    }
}

impl Classification {
    /// The answer of that name, short form or schema id.
    #[must_use]
    pub fn option(&self, name_or_id: &str) -> Option<&AnswerOption> {
        let is = |option: &&AnswerOption| {
            [&option.name, &option.value, &option.schema_id]
                .into_iter()
                .any(|name| name == name_or_id)
        };
        self.options.iter().find(is)
    }
}

impl AnswerOption {
    /// The question of that name or schema id that is asked after this answer.
    #[must_use]
    pub fn classification(&self, name_or_id: &str) -> Option<&Classification> {
        classification(&self.classifications, name_or_id)
    }
}

fn classification<'a>(among: &'a [Classification], name_or_id: &str) -> Option<&'a Classification> {
    let is = |found: &&Classification| found.name == name_or_id || found.schema_id == name_or_id;
    among.iter().find(is)
}
