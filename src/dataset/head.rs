//! Of a line of an export only what is needed of every row: its names and its size. Nothing of it is copied.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// What identifies a row, and how large its medium is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RowHead<'a> {
    #[serde(borrow)]
    data_row: Names<'a>,
    #[serde(default)]
    media_attributes: Option<Sides>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Names<'a> {
    #[serde(borrow)]
    id: Name<'a>,
    #[serde(borrow, default)]
    global_key: Option<Name<'a>>,
}

/// Within an `Option`, serde would copy the text itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
struct Sides {
    #[serde(default)]
    width: Side,
    #[serde(default)]
    height: Side,
}

/// A number of pixels; none where there is anything else, which must not keep a whole export away.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Side(Option<f64>);

impl<'de> Deserialize<'de> for Side {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = <&RawValue>::deserialize(deserializer)?;
        Ok(Self(value.get().parse().ok()))
    }
}

impl<'a> RowHead<'a> {
    /// Reads a line of an export, to its end.
    ///
    /// # Errors
    /// When it is no JSON object with a `data_row` that has an id.
    pub fn read(line: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }

    /// Labelbox's id of the row.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.data_row.id.0
    }

    /// The name that its owner gave it.
    #[must_use]
    pub fn global_key(&self) -> Option<&str> {
        self.data_row.global_key.as_ref().map(|name| &*name.0)
    }

    /// Width and height in pixels, where Labelbox knows both.
    #[must_use]
    pub fn size(&self) -> Option<(f64, f64)> {
        let Sides { width, height } = self.media_attributes?;
        Some((width.0?, height.0?))
    }
}
