//! Which part of a run's data a row belongs to.

use serde::{Deserialize, Serialize};

/// A part of a run's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// To learn from.
    Training,
    /// To choose by.
    Validation,
    /// To be measured by.
    Test,
    /// Nobody said.
    Unassigned,
}

impl Split {
    /// All of them, in the order in which people name them.
    pub const ALL: [Self; 4] = [
        Self::Training,
        Self::Validation,
        Self::Test,
        Self::Unassigned,
    ];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Validation => "validation",
            Self::Test => "test",
            Self::Unassigned => "unassigned",
        }
    }

    /// The part that Labelbox calls so, in upper or lower case; a word that is not known names no part.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        let is = |split: &Self| split.as_str().eq_ignore_ascii_case(word);
        Self::ALL.into_iter().find(is).unwrap_or(Self::Unassigned)
    }

    /// The file of its rows in a job's data folder.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Training => "training.ndjson",
            Self::Validation => "validation.ndjson",
            Self::Test => "test.ndjson",
            Self::Unassigned => "unassigned.ndjson",
        }
    }
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
