//! Why a format cannot be written or read.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::Notes;
use crate::{config::Format, disk};

/// Why a format cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The file system says no; another try may help.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The format is of another medium than the run's; no other try will help.
    #[error(
        "formats has {:?}, but this run's data are {media}: take it out of the model's entry",
        .format.as_str()
    )]
    OtherMedium {
        /// The format that was asked for.
        format: Format,
        /// Labelbox's word for what the ontology is of.
        media: String,
    },
    /// A file with results breaks off or cannot be read, so that nobody knows what is missing; no other try will help.
    #[error("{file}: {text}")]
    Broken {
        /// Below `out/`.
        file: String,
        /// Where and why.
        text: String,
    },
    /// There are more results than are taken; no other try will help.
    #[error("its results take more than {most} bytes as lines of predictions: leave fewer of them")]
    TooMuch {
        /// How many bytes are taken.
        most: u64,
    },
    /// Of all rows of a split, or of all there are, none is left to learn from; no other try will help.
    #[error("none of the {rows} {of} can be written in the model's formats: {notes}")]
    NothingLeft {
        /// How many rows there are.
        rows: u64,
        /// Which: a word or two.
        of: &'static str,
        /// What is in the way.
        notes: Notes,
    },
    /// The caller wished it to stop.
    #[error("stopped")]
    Stopped,
}

/// What the file system says about `path`.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> FormatError {
    let path = path.to_owned();
    move |source| FormatError::Io {
        path: path.clone(),
        source,
    }
}

/// What the file system says about a file or folder below `out/`: whoever put it there has to put it right, unless it is
/// the machine that is not well.
pub(super) fn broken(file: &str) -> impl Fn(io::Error) -> FormatError {
    let file = file.to_owned();
    move |error| match disk::may_pass(&error) {
        true => FormatError::Io {
            path: file.clone().into(),
            source: error,
        },
        false => FormatError::Broken {
            file: file.clone(),
            text: format!("it cannot be read: {error}"),
        },
    }
}
