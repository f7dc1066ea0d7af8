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
        Ok(match ontology.media_type.as_deref() {
            Some("IMAGE") => Self::Images,
            Some("TEXT") => Self::Texts,
            Some(other) => Self::Other(other.to_owned()),
            None if !Regions::of(ontology).is_empty() => Self::Images,
            None if !Entities::of(ontology).is_empty() => Self::Texts,
            None => match first_mime_type(wanted)? {
                Some(mime) if mime.starts_with("image/") => Self::Images,
                _ => Self::Texts,
            },
        })
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

fn first_mime_type(wanted: &Write<'_>) -> Result<Option<String>, FormatError> {
    for split in Split::ALL {
        let path = wanted.data.join(split.file_name());
        let Some(file) = open(&path)? else { continue };
        let mut lines = Lines::new(BufReader::new(file), ROW_LIMIT);
        let first = lines.next().map_err(at(&path))?;
        let row = first.and_then(|line| Row::read(line.content?).ok());
        if let Some(row) = row {
            return Ok(row.media_attributes.mime_type);
        }
    }
    Ok(None)
}
