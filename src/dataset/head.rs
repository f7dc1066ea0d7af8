//! Of a line of an export only what is needed of every row: its names and its size. Nothing of it is copied.

use std::borrow::Cow;

use serde::Deserialize;

use super::{RowError, found::Found};

/// What identifies a row, and how large its medium is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RowHead<'a> {
    #[serde(borrow)]
    data_row: Names<'a>,
    #[serde(default)]
    media_attributes: Found<Sides>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Names<'a> {
    #[serde(borrow)]
    id: Name<'a>,
    #[serde(borrow, default)]
    global_key: Found<Name<'a>>,
}

/// Within an `Option`, serde would copy the text itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// None where there is anything but a number of pixels, which must not keep a whole export away.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
struct Sides {
    #[serde(default)]
    width: Found<f64>,
    #[serde(default)]
    height: Found<f64>,
}

impl<'a> RowHead<'a> {
    /// Reads a line of an export, to its end.
    ///
    /// # Errors
    /// When it is no JSON object with a `data_row` that has an id.
    pub fn read(line: &'a [u8]) -> Result<Self, RowError> {
        serde_json::from_slice(line).map_err(|error| RowError::of(&error))
    }

    /// Labelbox's id of the row.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.data_row.id.0
    }

    /// The name that its owner gave it.
    #[must_use]
    pub fn global_key(&self) -> Option<&str> {
        self.data_row.global_key.as_known().map(|name| &*name.0)
    }

    /// Width and height in pixels, where Labelbox knows both.
    #[must_use]
    pub fn size(&self) -> Option<(f64, f64)> {
        let Sides { width, height } = self.media_attributes.known()?;
        Some((width.known()?, height.known()?))
    }
}
