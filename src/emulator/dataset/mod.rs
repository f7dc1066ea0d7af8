//! Data rows with their labels, as a model run has them: stock ones, a user's own export, or any number for tests.

mod chance;
mod content;
mod digits;
mod entities;
mod file;
mod generated;
mod line;
mod shapes;

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use serde_json::{Map, Value, json};

pub(super) use content::Content;
pub use file::DatasetError;
use generated::Generated;
pub(super) use line::{Addresses, Wanted};

/// The part of a run's data that a row belongs to, in Labelbox's words.
pub(super) const SPLITS: [&str; 4] = ["TRAINING", "VALIDATION", "TEST", "UNASSIGNED"];

/// Begin what stands in a row for the address of a file, and of a mask, of the dataset's own.
const OWN_FILE: &str = "own-file:";
const OWN_MASK: &str = "own-mask:";

/// Data rows, their labels and the ontology that these follow. Made once, given to any number of runs.
#[derive(Debug)]
pub struct Dataset {
    name: String,
    media_type: &'static str,
    /// `tools` and `classifications`, as Labelbox's own editor keeps them.
    normalized: Value,
    rows: Rows,
    /// Files that the emulator serves, by name.
    media: HashMap<String, Bytes>,
}

#[derive(Debug)]
enum Rows {
    Listed(Listed),
    Generated(Generated),
}

/// Rows in memory, found by either name.
#[derive(Debug, Default)]
struct Listed {
    rows: Vec<Row>,
    by_name: HashMap<String, usize>,
}

/// A data row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) global_key: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) row_data: RowData,
    pub(super) media_attributes: Value,
    /// `attachments`, `metadata_fields`, `embeddings`: what an export holds only if asked.
    pub(super) extras: Map<String, Value>,
    /// `objects`, `classifications`, `relationships`, as they are exported; null where nobody has labelled the row.
    pub(super) annotations: Value,
    /// One of [`SPLITS`], by its place there.
    pub(super) split: usize,
}

/// What a row is about.
#[derive(Debug, Clone)]
pub(super) enum RowData {
    /// The text itself, or an address elsewhere.
    Given(String),
    /// One of the dataset's own files.
    Own(String),
}

impl Dataset {
    /// 1,797 handwritten digits of 8×8 pixels, 1,000 to learn from, 297 to choose by and 500 to be tested with; the
    /// question `digit` is answered for each.
    #[must_use]
    pub fn digits() -> Arc<Self> {
        Arc::new(digits::digits())
    }

    /// 120 drawn images of 64×64 pixels with one to three circles, squares and triangles on them, 80 to learn from, 20
    /// to choose by and 20 to be tested with. Each shape has a box (`circle`), a polygon (`circle outline`) and a mask
    /// (`circle mask`); a mask's file is given to whoever has an API key.
    #[must_use]
    pub fn shapes() -> Arc<Self> {
        Arc::new(shapes::shapes())
    }

    /// 300 sentences in which `person`, `place`, `organisation` and `date` are marked, 210 to learn from, 30 to choose
    /// by and 60 to be tested with.
    #[must_use]
    pub fn entities() -> Arc<Self> {
        Arc::new(entities::entities())
    }

    /// The dataset that is part of the program under this name: `digits`, `shapes` or `entities`.
    #[must_use]
    pub fn stock(name: &str) -> Option<Arc<Self>> {
        match name {
            "digits" => Some(Self::digits()),
            "shapes" => Some(Self::shapes()),
            "entities" => Some(Self::entities()),
            _ => None,
        }
    }

    /// Any number of rows of text with lines of about `line_bytes`, which cost no memory; the question `kind` is
    /// answered for each. Of ten rows eight are to learn from, one to choose by and one to be tested with.
    #[must_use]
    pub fn generated(rows: u64, line_bytes: usize) -> Arc<Self> {
        Arc::new(generated::generated(rows, line_bytes))
    }

    /// The rows of an export of Labelbox's, one JSON object a line. The ontology is what the labels show of it.
    ///
    /// # Errors
    /// When the file cannot be read, or a line of it is no exported row.
    pub fn read(path: &std::path::Path) -> Result<Arc<Self>, DatasetError> {
        file::read(path).map(Arc::new)
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.rows {
            Rows::Listed(listed) => listed.rows.len(),
            Rows::Generated(generated) => generated.len(),
        }
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn media_type(&self) -> &'static str {
        self.media_type
    }

    pub(super) fn normalized(&self) -> &Value {
        &self.normalized
    }

    pub(super) fn media(&self, name: &str) -> Option<Bytes> {
        self.media.get(name).cloned()
    }

    pub(super) fn row(&self, at: usize) -> Option<Row> {
        match &self.rows {
            Rows::Listed(listed) => listed.rows.get(at).cloned(),
            Rows::Generated(generated) => generated.row(at),
        }
    }

    /// Of a row only its id, and its split by its place in [`SPLITS`].
    pub(super) fn id_and_split(&self, at: usize) -> Option<(String, usize)> {
        match &self.rows {
            Rows::Listed(listed) => listed.rows.get(at).map(|row| (row.id.clone(), row.split)),
            Rows::Generated(generated) => generated.id_and_split(at),
        }
    }

    /// The place of the row with that id or global key.
    pub(super) fn find(&self, id_or_key: &str) -> Option<usize> {
        match &self.rows {
            Rows::Listed(listed) => listed.by_name.get(id_or_key).copied(),
            Rows::Generated(generated) => generated.find(id_or_key),
        }
    }
}

impl Rows {
    fn listed(rows: Vec<Row>) -> Self {
        let mut by_name = HashMap::new();
        for (at, row) in rows.iter().enumerate() {
            by_name.insert(row.id.clone(), at);
            if let Some(key) = &row.global_key {
                by_name.insert(key.clone(), at);
            }
        }
        Self::Listed(Listed { rows, by_name })
    }
}

/// A radio question as an ontology holds it.
fn radio(name: &str, options: &[&str]) -> Value {
    let option = |option: &&str| {
        json!({
            "schemaNodeId": format!("node-{name}-{option}"), "featureSchemaId": option_id(name, option),
            "label": option, "value": option, "options": [],
        })
    };
    json!({
        "schemaNodeId": format!("node-{name}"), "featureSchemaId": question_id(name), "name": name,
        "instructions": name, "type": "radio", "required": true, "scope": "global",
        "options": options.iter().map(option).collect::<Vec<_>>(),
    })
}

/// A radio question's answer as an export holds it.
fn radio_answer(name: &str, option: &str, feature_id: &str) -> Value {
    json!({
        "feature_id": format!("{feature_id}q"), "feature_schema_id": question_id(name), "name": name, "value": name,
        "radio_answer": {
            "feature_id": format!("{feature_id}a"), "feature_schema_id": option_id(name, option),
            "name": option, "value": option, "classifications": [],
        },
    })
}

/// A tool as an ontology holds it.
fn tool(name: &str, kind: &str) -> Value {
    json!({
        "schemaNodeId": format!("node-{name}"), "featureSchemaId": tool_id(name), "name": name, "tool": kind,
        "required": false, "color": "#1ce6ff", "classifications": [],
    })
}

/// What was drawn or marked, as an export holds it: `key` tells where.
fn object(feature_id: &str, name: &str, kind: &str, key: &str, place: Value) -> Value {
    json!({
        "feature_id": feature_id, "feature_schema_id": tool_id(name), "name": name,
        "value": name.replace(' ', "_"), "annotation_kind": kind, "classifications": [], key: place,
    })
}

fn tool_id(name: &str) -> String {
    format!("{:0<25}", format!("cl0tool{}", name.replace(' ', "")))
}

fn question_id(name: &str) -> String {
    format!("{:0<25}", format!("cl0question{name}"))
}

fn option_id(name: &str, option: &str) -> String {
    format!("{:0<25}", format!("cl0option{name}{option}x"))
}
