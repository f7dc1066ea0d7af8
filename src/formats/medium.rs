//! What a run's data are, as far as formats care.

use std::io::BufReader;

use super::{
    FormatError, Write,
    classes::{Entities, Regions},
    error::at,
    lines::Lines,
    numbers::ROW_LIMIT,
    write::open,
};
use crate::dataset::{Row, Split};

/// The word for an ontology of which nobody has said what it is of (labelbox 7.17.0: `schema/media_type.py`).
const UNKNOWN: &str = "UNKNOWN";

/// So many rows of a split are asked what they are.
const ROWS_ASKED: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Medium {
    Images,
    Texts,
    /// Labelbox's word for it.
    Other(String),
}

impl Medium {
    /// By Labelbox's word for what the ontology is of, or else by what it asks for, or else by a row's own word.
    pub(super) fn of(wanted: &Write<'_>) -> Result<Self, FormatError> {
        let ontology = wanted.ontology;
        let word = ontology.media_type.as_deref();
        let word = word.filter(|word| !word.eq_ignore_ascii_case(UNKNOWN));
        Ok(match word {
            Some(word) if word.eq_ignore_ascii_case("IMAGE") => Self::Images,
            Some(word) if word.eq_ignore_ascii_case("TEXT") => Self::Texts,
            Some(other) => Self::Other(other.to_owned()),
            None if !Regions::of(ontology).is_empty() => Self::Images,
            None if !Entities::of(ontology).is_empty() => Self::Texts,
            None => Self::of_mime_type(first_mime_type(wanted)?),
        })
    }

    fn of_mime_type(mime_type: Option<String>) -> Self {
        let is = |beginning: &str| mime_type.as_deref()?.starts_with(beginning).then_some(());
        let other = ["video/", "audio/", "application/pdf"];
        match mime_type.clone() {
            _ if is("image/").is_some() => Self::Images,
            Some(word) if other.iter().any(|other| is(other).is_some()) => Self::Other(word),
            _ => Self::Texts,
        }
    }

    /// Labelbox's word for it.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Images => "IMAGE",
            Self::Texts => "TEXT",
            Self::Other(word) => word,
        }
    }
}

/// Of the first rows of each split, what the first one says of which anything is known.
fn first_mime_type(wanted: &Write<'_>) -> Result<Option<String>, FormatError> {
    for split in Split::ALL {
        let path = wanted.data.join(split.file_name());
        let Some(file) = open(&path)? else { continue };
        let mut lines = Lines::new(BufReader::new(file), ROW_LIMIT);
        for _ in 0..ROWS_ASKED {
            let Some(line) = lines.next().map_err(at(&path))? else {
                break;
            };
            let row = line.content.and_then(|content| Row::read(content).ok());
            if let Some(mime_type) = row.and_then(|row| row.media_attributes.mime_type) {
                return Ok(Some(mime_type));
            }
        }
    }
    Ok(None)
}
