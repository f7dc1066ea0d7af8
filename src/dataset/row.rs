//! One line of an export: a data row with its labels (docs: export format of a model run).
//!
//! Only what is needed of it is read; all else of a line is left as it came.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// A data row, as it stands in a line of `data/<split>.ndjson`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Row {
    /// The row itself.
    pub data_row: DataRow,
    /// What Labelbox knows of the medium.
    #[serde(default, deserialize_with = "or_default")]
    pub media_attributes: MediaAttributes,
    /// What is known of it, by model and model run.
    #[serde(default, deserialize_with = "or_default")]
    experiments: BTreeMap<String, Experiment>,
}

/// What identifies a row, and where its content is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct DataRow {
    /// Labelbox's id of it.
    pub id: String,
    /// The name that its owner gave it.
    #[serde(default)]
    pub global_key: Option<String>,
    /// Another name, which need not be unique.
    #[serde(default)]
    pub external_id: Option<String>,
    /// The address of the medium, or the text itself.
    #[serde(default)]
    pub row_data: Option<String>,
    /// Where its medium lies, below the data folder.
    #[serde(default)]
    pub local_path: Option<String>,
}

/// What Labelbox knows of a row's medium.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct MediaAttributes {
    /// In pixels.
    #[serde(default)]
    pub height: Option<f64>,
    /// In pixels.
    #[serde(default)]
    pub width: Option<f64>,
    /// `image/png` and so on.
    #[serde(default)]
    pub mime_type: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Experiment {
    #[serde(default, deserialize_with = "or_default")]
    runs: BTreeMap<String, Run>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Run {
    #[serde(default, deserialize_with = "or_default")]
    labels: Vec<Label>,
}

/// What one labeller said of a row.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Label {
    /// All that was said.
    #[serde(default, deserialize_with = "or_default")]
    pub annotations: Annotations,
}

/// Objects and answers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Annotations {
    /// What was drawn or marked.
    #[serde(default, deserialize_with = "or_default")]
    pub objects: Vec<Object>,
    /// What was answered about the whole row.
    #[serde(default, deserialize_with = "or_default")]
    pub classifications: Vec<Answered>,
}

/// Something that was drawn or marked.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Object {
    /// The tool's name.
    #[serde(default)]
    pub name: String,
    /// The tool's schema id.
    #[serde(default)]
    pub feature_schema_id: Option<String>,
    /// `ImageBoundingBox`, `TextEntity` and so on.
    #[serde(default)]
    pub annotation_kind: String,
    /// What was answered about it.
    #[serde(default, deserialize_with = "or_default")]
    pub classifications: Vec<Answered>,
    /// In pixels.
    #[serde(default)]
    pub bounding_box: Option<BoundingBox>,
    /// In pixels.
    #[serde(default)]
    pub polygon: Option<Vec<Point>>,
    /// In pixels.
    #[serde(default)]
    pub line: Option<Vec<Point>>,
    /// In pixels.
    #[serde(default)]
    pub point: Option<Point>,
    /// Its own mask.
    #[serde(default)]
    pub mask: Option<Mask>,
    /// In characters.
    #[serde(default)]
    pub location: Option<Location>,
}

/// A box, in pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct BoundingBox {
    /// Of its upper edge, from above.
    pub top: f64,
    /// Of its left edge, from the left.
    pub left: f64,
    /// Downwards.
    pub height: f64,
    /// To the right.
    pub width: f64,
}

/// A point, in pixels from the upper left corner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// To the right.
    pub x: f64,
    /// Downwards.
    pub y: f64,
}

/// The address of an image as large as the row's, which shows where an object is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Mask {
    /// At Labelbox, for whoever has a key.
    #[serde(default)]
    pub url: String,
    /// Where it lies, below the data folder.
    #[serde(default)]
    pub local_path: Option<String>,
}

/// Characters of a text, from the first to the last, which belongs to it (Labelbox/labelbox-python, its tests of exports).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The first.
    pub start: u64,
    /// The last.
    pub end: u64,
}

/// A question that was answered.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Answered {
    /// The question's name.
    #[serde(default)]
    pub name: String,
    /// The question's schema id.
    #[serde(default)]
    pub feature_schema_id: Option<String>,
    /// The one answer.
    #[serde(default)]
    pub radio_answer: Option<Answer>,
    /// Any number of answers.
    #[serde(default)]
    pub checklist_answers: Option<Vec<Answer>>,
    /// An answer in words.
    #[serde(default)]
    pub text_answer: Option<TextAnswer>,
}

/// An answer from a list.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Answer {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its schema id.
    #[serde(default)]
    pub feature_schema_id: Option<String>,
    /// What was answered after it.
    #[serde(default, deserialize_with = "or_default")]
    pub classifications: Vec<Answered>,
}

/// An answer in words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct TextAnswer {
    /// The words.
    #[serde(default)]
    pub content: String,
}

impl Row {
    /// Reads a line of an export.
    ///
    /// # Errors
    /// When it is no JSON object with a `data_row` that has an id, or something in it has another shape than known.
    pub fn read(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }

    /// What labellers said of the row in the model run that was exported.
    pub fn labels(&self) -> impl Iterator<Item = &Label> {
        let runs = self.experiments.values().flat_map(|of| of.runs.values());
        runs.flat_map(|run| &run.labels)
    }

    /// Width and height in pixels, where Labelbox knows both.
    #[must_use]
    pub fn size(&self) -> Option<(f64, f64)> {
        Some((self.media_attributes.width?, self.media_attributes.height?))
    }
}

/// A null is as good as nothing.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
