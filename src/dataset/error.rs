//! Why a line is no row.

use serde_json::error::Category;

/// Why a line of an export is no row, for people: a sentence about "it", the line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// It is no JSON, or not all of it.
    #[error("it breaks off or is no JSON at column {column}")]
    NoJson {
        /// Counted in bytes, from 1; 0 for an empty line.
        column: usize,
    },
    /// It is JSON, but without what every row has.
    #[error("it is no JSON object with a data_row that has an id")]
    NoId,
}

impl RowError {
    /// In words of our own: the parser's are about types of this program.
    pub(crate) fn of(error: &serde_json::Error) -> Self {
        match error.classify() {
            Category::Data => Self::NoId,
            Category::Io | Category::Syntax | Category::Eof => Self::NoJson {
                column: error.column(),
            },
        }
    }
}
