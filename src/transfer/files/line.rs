//! A line of a split file: what of it lies elsewhere, and the same line with the places where that lies now.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::names::local_path;
use crate::dataset::{Found, MissingFile, RowError};

/// Which part of a row a file is; attachments and masks are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    RowData,
    Attachment(usize),
    Mask(usize),
}

/// A file that a row needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Labelbox's id of the row.
    pub(super) row: String,
    /// What its owner calls it.
    pub(super) global_key: Option<String>,
    pub(super) what: What,
    pub(super) url: String,
    /// Where it is to lie, below the data folder.
    pub(super) path: String,
}

impl Wanted {
    /// The same as a file that could not be had, and why.
    pub(super) fn missing(&self, reason: String) -> MissingFile {
        MissingFile {
            data_row: self.row.clone(),
            global_key: self.global_key.clone(),
            kind: self.what.to_string(),
            reason,
        }
    }
}

/// A line, understood as far as files are concerned. Nothing of it is copied or lost.
#[derive(Debug)]
pub(super) struct Line<'a> {
    text: &'a [u8],
    parts: Vec<Part<'a>>,
}

/// A JSON object of the line that names a file.
#[derive(Debug)]
struct Part<'a> {
    wanted: Wanted,
    object: &'a RawValue,
    /// The value of `local_path`, if the object has one already.
    place: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawLine<'a> {
    #[serde(borrow)]
    data_row: &'a RawValue,
    #[serde(default)]
    media_attributes: Found<Media>,
    #[serde(borrow, default)]
    attachments: Found<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    experiments: Found<BTreeMap<Cow<'a, str>, Option<Experiment<'a>>>>,
}

#[derive(Deserialize)]
struct Media {
    #[serde(default)]
    mime_type: Found<String>,
}

#[derive(Deserialize)]
struct DataRow<'a> {
    id: String,
    #[serde(default)]
    global_key: Found<String>,
    #[serde(borrow, default)]
    row_data: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    local_path: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Attachment<'a> {
    #[serde(rename = "type", default)]
    kind: Found<String>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    local_path: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Experiment<'a> {
    #[serde(borrow, default)]
    runs: Option<BTreeMap<Cow<'a, str>, Option<Run<'a>>>>,
}

#[derive(Deserialize)]
struct Run<'a> {
    #[serde(borrow, default)]
    labels: Option<Vec<Option<Label<'a>>>>,
}

#[derive(Deserialize)]
struct Label<'a> {
    #[serde(borrow, default)]
    annotations: Option<Annotations<'a>>,
}

#[derive(Deserialize)]
struct Annotations<'a> {
    #[serde(borrow, default)]
    objects: Option<Vec<Found<Object<'a>>>>,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow, default)]
    mask: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Mask<'a> {
    #[serde(default)]
    url: Option<String>,
    #[serde(borrow, default, deserialize_with = "given")]
    local_path: Option<&'a RawValue>,
}

/// `null` is a value, too: it has a place in the line.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Line<'a> {
    /// Understands a line, without its end.
    ///
    /// # Errors
    /// When it is no exported row.
    pub(super) fn read(text: &'a [u8]) -> Result<Self, RowError> {
        let no_row = |error| RowError::of(&error);
        let line: RawLine<'a> = serde_json::from_slice(text).map_err(no_row)?;
        let row: DataRow<'a> = serde_json::from_str(line.data_row.get()).map_err(no_row)?;
        let global_key = row.global_key.known();
        let media = line.media_attributes.known();
        let mime_type = media.and_then(|media| media.mime_type.known());
        let mut parts = Vec::new();
        let mut add = |what, url: String, object, place| {
            let wanted = Wanted {
                path: local_path(&row.id, what, mime_type.as_deref(), &url),
                row: row.id.clone(),
                global_key: global_key.clone(),
                what,
                url,
            };
            parts.push(Part {
                wanted,
                object,
                place,
            });
        };
        if let Some(url) = row
            .row_data
            .and_then(text_in)
            .filter(|text| is_address(text))
        {
            add(What::RowData, url, line.data_row, row.local_path);
        }
        for (at, object) in line.attachments.known().into_iter().flatten().enumerate() {
            let Ok(attachment) = serde_json::from_str::<Attachment<'a>>(object.get()) else {
                continue;
            };
            if let Some(url) = attachment.address() {
                add(What::Attachment(at + 1), url, object, attachment.local_path);
            }
        }
        let mut masks = 0;
        for object in line
            .experiments
            .known()
            .into_iter()
            .flatten()
            .filter_map(|(_, of)| of)
            .flat_map(Experiment::masks)
        {
            let Ok(mask) = serde_json::from_str::<Mask<'a>>(object.get()) else {
                continue;
            };
            if let Some(url) = mask.url.filter(|url| !url.is_empty()) {
                masks += 1;
                add(What::Mask(masks), url, object, mask.local_path);
            }
        }
        Ok(Self { text, parts })
    }

    /// What of the row lies elsewhere, always in the same order.
    pub(super) fn wanted(&self) -> impl ExactSizeIterator<Item = &Wanted> {
        self.parts.iter().map(|part| &part.wanted)
    }

    /// Appends the line with the places of its files, as far as `is_here` says so of each of [`Line::wanted`].
    pub(super) fn rewrite(&self, is_here: &[bool], into: &mut Vec<u8>) {
        let here = is_here.iter().copied().chain(std::iter::repeat(false));
        let edits = self.parts.iter().zip(here);
        let mut edits: Vec<_> = edits
            .filter_map(|(part, here)| part.edit(self.text, here))
            .collect();
        edits.sort_unstable_by_key(|(from, _, _)| *from);
        let mut at = 0;
        for (from, to, text) in edits {
            into.extend_from_slice(self.text.get(at..from).unwrap_or_default());
            into.extend_from_slice(text.as_bytes());
            at = to;
        }
        into.extend_from_slice(self.text.get(at..).unwrap_or_default());
    }
}

impl Part<'_> {
    /// Which bytes of the line become what.
    fn edit(&self, line: &[u8], is_here: bool) -> Option<(usize, usize, String)> {
        let place = match is_here {
            true => serde_json::Value::from(self.wanted.path.as_str()).to_string(),
            false => "null".to_owned(),
        };
        if let Some(old) = self.place {
            let from = offset(line, old);
            return Some((from, from + old.get().len(), place));
        }
        if !is_here {
            return None;
        }
        let comma = match self.object.get().trim_start_matches('{').trim_start() {
            "}" => "",
            _ => ",",
        };
        let within = offset(line, self.object) + 1;
        Some((within, within, format!("\"local_path\":{place}{comma}")))
    }
}

impl<'a> Experiment<'a> {
    fn masks(self) -> impl Iterator<Item = &'a RawValue> {
        let runs = self.runs.into_iter().flatten().filter_map(|(_, run)| run);
        let labels = runs.flat_map(|run| run.labels.into_iter().flatten().flatten());
        let annotations = labels.filter_map(|label| label.annotations);
        let objects = annotations.flat_map(|all| all.objects.into_iter().flatten());
        objects.filter_map(|object| object.known()?.mask)
    }
}

impl Attachment<'_> {
    /// What was attached as text is here already, even if the text is an address.
    fn address(&self) -> Option<String> {
        let kind = self.kind.as_known().map_or("", String::as_str);
        let text = self.value.and_then(text_in)?;
        (!kind.eq_ignore_ascii_case("raw_text") && is_address(&text)).then_some(text)
    }
}

fn text_in(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// Whether a text names a place rather than being the content itself: `scheme://…` in one word.
fn is_address(text: &str) -> bool {
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    let fits = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let is_scheme =
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(fits);
    is_scheme && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Where in the line a value begins, which was borrowed from it.
fn offset(line: &[u8], value: &RawValue) -> usize {
    value.get().as_ptr().addr() - line.as_ptr().addr()
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::RowData => f.write_str("row_data"),
            Self::Attachment(number) => write!(f, "attachment {number}"),
            Self::Mask(number) => write!(f, "mask {number}"),
        }
    }
}
