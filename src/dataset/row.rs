//! One line of an export: a data row with its labels (docs: export format of a model run).
//!
//! Only what is needed of it is read; all else of a line is left as it came. A `null` is as good as nothing, and what has
//! a shape that nobody knows is told from what is not there: a row is not lost for an object that is.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::{
    RowError,
    found::{Found, elements, given, known, object},
};

/// A data row, as it stands in a line of `data/<split>.ndjson`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Row {
    /// The row itself.
    pub data_row: DataRow,
    /// What Labelbox knows of the medium.
    #[serde(default, deserialize_with = "known")]
    pub media_attributes: MediaAttributes,
    /// What is known of it, by model and model run.
    #[serde(default)]
    experiments: Found<BTreeMap<String, Option<Experiment>>>,
}

/// What identifies a row, and where its content is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct DataRow {
    /// Labelbox's id of it.
    pub id: String,
    /// The name that its owner gave it.
    #[serde(default, deserialize_with = "known")]
    pub global_key: Option<String>,
    /// Another name, which need not be unique.
    #[serde(default, deserialize_with = "known")]
    pub external_id: Option<String>,
    /// The address of the medium, or the text itself.
    #[serde(default, deserialize_with = "known")]
    pub row_data: Option<String>,
    /// Where its medium lies, below the data folder.
    #[serde(default, deserialize_with = "known")]
    pub local_path: Option<String>,
}

/// What Labelbox knows of a row's medium.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct MediaAttributes {
    /// In pixels.
    #[serde(default, deserialize_with = "known")]
    pub height: Option<f64>,
    /// In pixels.
    #[serde(default, deserialize_with = "known")]
    pub width: Option<f64>,
    /// `image/png` and so on.
    #[serde(default, deserialize_with = "known")]
    pub mime_type: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Experiment {
    #[serde(default, deserialize_with = "given")]
    runs: BTreeMap<String, Option<Run>>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Run {
    #[serde(default, deserialize_with = "elements")]
    labels: Vec<Label>,
}

/// What one labeller said of a row.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Label {
    /// All that was said.
    #[serde(default, deserialize_with = "given")]
    pub annotations: Annotations,
}

/// Objects and answers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Annotations {
    /// What was drawn or marked.
    #[serde(default, deserialize_with = "objects")]
    pub objects: Vec<Object>,
    /// What was answered about the whole row.
    #[serde(default, deserialize_with = "answers")]
    pub classifications: Vec<Answered>,
    /// How objects belong together: each has a name as an object has.
    #[serde(default)]
    relationships: Found<Vec<Found<Object>>>,
    /// What was said of a video's frames, by their numbers (docs: export of video annotations).
    #[serde(default)]
    frames: Found<BTreeMap<String, Found<Frame>>>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Frame {
    /// By their ids.
    #[serde(default)]
    objects: Found<BTreeMap<String, Found<Object>>>,
    #[serde(default, deserialize_with = "answers")]
    classifications: Vec<Answered>,
}

impl Annotations {
    /// All that a tool was used for: objects, those of a video's frames, and relationships.
    pub fn drawn(&self) -> impl Iterator<Item = &Object> {
        let objects = self.frames().filter_map(|frame| frame.objects.as_known());
        let in_frames = objects.flat_map(BTreeMap::values);
        let relationships = self.relationships.as_known().into_iter().flatten();
        let others = in_frames.chain(relationships).filter_map(Found::as_known);
        self.objects.iter().chain(others)
    }

    /// What was answered about the whole row, and about each of a video's frames.
    pub fn answered(&self) -> impl Iterator<Item = &[Answered]> {
        let in_frames = self.frames().map(|frame| &*frame.classifications);
        std::iter::once(&*self.classifications).chain(in_frames)
    }

    fn frames(&self) -> impl Iterator<Item = &Frame> {
        let frames = self.frames.as_known().into_iter();
        frames
            .flat_map(BTreeMap::values)
            .filter_map(Found::as_known)
    }
}

/// Something that was drawn or marked.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(from = "ObjectFields")]
pub struct Object {
    /// The tool's name.
    pub name: String,
    /// The tool's schema id.
    pub feature_schema_id: Option<String>,
    /// `ImageBoundingBox`, `TextEntity` and so on.
    pub annotation_kind: String,
    /// What was answered about it.
    pub classifications: Vec<Answered>,
    /// In pixels.
    pub bounding_box: Option<BoundingBox>,
    /// In pixels.
    pub polygon: Option<Vec<Point>>,
    /// In pixels.
    pub line: Option<Vec<Point>>,
    /// In pixels.
    pub point: Option<Point>,
    /// Its own mask.
    pub mask: Option<Mask>,
    /// In characters.
    pub location: Option<Location>,
    /// Whether some of it, or all, has a shape that nobody knows, and is missing here.
    pub unreadable: bool,
}

impl Object {
    /// Whether it is told where it is.
    #[must_use]
    pub const fn has_shape(&self) -> bool {
        self.bounding_box.is_some()
            || self.polygon.is_some()
            || self.line.is_some()
            || self.point.is_some()
            || self.mask.is_some()
            || self.location.is_some()
    }
}

#[derive(Deserialize)]
struct ObjectFields {
    #[serde(default, deserialize_with = "known")]
    name: String,
    #[serde(default, deserialize_with = "known")]
    feature_schema_id: Option<String>,
    #[serde(default, deserialize_with = "known")]
    annotation_kind: String,
    #[serde(default)]
    classifications: Found<Vec<Option<Answered>>>,
    #[serde(default, deserialize_with = "object")]
    bounding_box: Found<BoundingBox>,
    #[serde(default)]
    polygon: Found<Vec<Point>>,
    #[serde(default)]
    line: Found<Vec<Point>>,
    #[serde(default, deserialize_with = "object")]
    point: Found<Point>,
    #[serde(default, deserialize_with = "object")]
    mask: Found<Mask>,
    #[serde(default, deserialize_with = "object")]
    location: Found<Location>,
}

impl From<ObjectFields> for Object {
    fn from(fields: ObjectFields) -> Self {
        let unreadable = [
            fields.classifications.is_other(),
            fields.bounding_box.is_other(),
            fields.polygon.is_other(),
            fields.line.is_other(),
            fields.point.is_other(),
            fields.mask.is_other(),
            fields.location.is_other(),
        ];
        let answered = fields.classifications.known().into_iter().flatten();
        Self {
            name: fields.name,
            feature_schema_id: fields.feature_schema_id,
            annotation_kind: fields.annotation_kind,
            classifications: answered.flatten().collect(),
            bounding_box: fields.bounding_box.known(),
            polygon: fields.polygon.known(),
            line: fields.line.known(),
            point: fields.point.known(),
            mask: fields.mask.known(),
            location: fields.location.known(),
            unreadable: unreadable.contains(&true),
        }
    }
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
    #[serde(default, deserialize_with = "given")]
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
    #[serde(default, deserialize_with = "given")]
    pub name: String,
    /// The question's schema id.
    #[serde(default)]
    pub feature_schema_id: Option<String>,
    /// The one answer.
    #[serde(default)]
    pub radio_answer: Option<Answer>,
    /// Any number of answers.
    #[serde(default, deserialize_with = "elements")]
    pub checklist_answers: Vec<Answer>,
    /// An answer in words.
    #[serde(default)]
    pub text_answer: Option<TextAnswer>,
    /// Whether it has a shape that nobody knows, and all of it is missing here.
    #[serde(skip)]
    pub unreadable: bool,
}

/// An answer from a list.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Answer {
    /// Its name.
    #[serde(default, deserialize_with = "given")]
    pub name: String,
    /// Its schema id.
    #[serde(default)]
    pub feature_schema_id: Option<String>,
    /// What was answered after it.
    #[serde(default, deserialize_with = "elements")]
    pub classifications: Vec<Answered>,
}

/// An answer in words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct TextAnswer {
    /// The words.
    #[serde(default, deserialize_with = "given")]
    pub content: String,
}

impl Row {
    /// Reads a line of an export.
    ///
    /// # Errors
    /// When it is no JSON object with a `data_row` that has an id.
    pub fn read(line: &[u8]) -> Result<Self, RowError> {
        serde_json::from_slice(line).map_err(|error| RowError::of(&error))
    }

    /// What labellers said of the row in the model run that was exported.
    pub fn labels(&self) -> impl Iterator<Item = &Label> {
        let experiments = self.experiments.as_known().into_iter();
        let experiments = experiments.flat_map(BTreeMap::values).flatten();
        let runs = experiments.flat_map(|of| of.runs.values()).flatten();
        runs.flat_map(|run| &run.labels)
    }

    /// Whether what labellers said has a shape that nobody knows, so that nothing of it is among [`Row::labels`].
    #[must_use]
    pub const fn has_unreadable_labels(&self) -> bool {
        self.experiments.is_other()
    }

    /// Width and height in pixels, where Labelbox knows both.
    #[must_use]
    pub fn size(&self) -> Option<(f64, f64)> {
        Some((self.media_attributes.width?, self.media_attributes.height?))
    }
}

/// Elements that are `null` are none; of others, each has its place.
fn objects<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Object>, D::Error> {
    let unreadable = || Object {
        unreadable: true,
        ..Object::default()
    };
    each_or(deserializer, unreadable)
}

fn answers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Answered>, D::Error> {
    let unreadable = || Answered {
        unreadable: true,
        ..Answered::default()
    };
    each_or(deserializer, unreadable)
}

fn each_or<'de, T, D>(deserializer: D, unreadable: impl Fn() -> T) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let list: Option<Vec<Found<T>>> = Option::deserialize(deserializer)?;
    let each = |found| match found {
        Found::Nothing => None,
        Found::Known(element) => Some(element),
        Found::Other => Some(unreadable()),
    };
    Ok(list.into_iter().flatten().filter_map(each).collect())
}
