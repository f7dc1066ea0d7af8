//! What a model needs of its run's data, and what it gives back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::dataset::Split;

/// `export = { … }`: what of a run's data is exported for the command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// What each line holds beyond the row and its labels.
    pub parts: Parts,
    /// Whether the rows' media and the labels' masks are fetched, too.
    pub files: bool,
    /// A longer file is not fetched, in bytes. Default 2 GB.
    #[serde(default)]
    pub max_file_size: u64,
    /// So many files may be missing. None by default.
    #[serde(default)]
    pub max_missing_files: Tolerance,
    /// An export that takes longer fails the job; none if written `"none"`. Default 6 h.
    pub timeout_ms: Option<u64>,
    /// Older data is exported again before a command gets it; none if written `"none"`. Default 12 h.
    #[serde(default)]
    pub max_age_ms: Option<u64>,
}

/// How much of something may go wrong: a count, or `"1%"` of all there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tolerance {
    /// So many.
    Count(u64),
    /// So many of 10,000: hundredths of a percent.
    Share(u32),
}

/// What each line of an export holds beyond the row and its labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "Labelbox has a flag for each"
)]
pub struct Parts {
    /// What was attached to the row.
    pub attachments: bool,
    /// The row's metadata fields.
    pub metadata: bool,
    /// The row's embeddings.
    pub embeddings: bool,
    /// Earlier predictions of the run.
    pub predictions: bool,
}

/// `formats = ["coco", "yolo", "hf"]`: what an export is written as, beside its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// COCO's JSON files, of images.
    Coco,
    /// YOLO's folders, of images.
    Yolo,
    /// Hugging Face's `datasets`, of images or texts.
    Hf,
}

/// `preflight = { training = 1, test = 1, every_class_labelled = true }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflight {
    /// Rows to learn from, at least.
    pub training: u32,
    /// Rows to choose by, at least.
    pub validation: u32,
    /// Rows to be measured by, at least.
    pub test: u32,
    /// Whether every class of the ontology, a tool or an answer, must stand in a label of the training split; of the rows
    /// without a split where none is for training.
    pub every_class_labelled: bool,
}

/// Whether a command leaves predictions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Predictions {
    /// Without them it has failed.
    Required,
    /// If there are any, they are imported.
    Optional,
    /// Nobody looks for them.
    #[default]
    None,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self::Count(0)
    }
}

impl Tolerance {
    /// Whether so many of `all` may go wrong.
    #[must_use]
    pub fn allows(self, wrong: u64, all: u64) -> bool {
        wrong <= self.most(all)
    }

    /// How many of `all` may go wrong.
    #[must_use]
    pub fn most(self, all: u64) -> u64 {
        match self {
            Self::Count(count) => count,
            Self::Share(share) => {
                let most = u128::from(all) * u128::from(share) / 10_000;
                u64::try_from(most).unwrap_or(u64::MAX)
            }
        }
    }
}

impl std::fmt::Display for Tolerance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Share(share) => write!(f, "{}%", f64::from(*share) / 100.0),
        }
    }
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Coco, Self::Yolo, Self::Hf];

    /// The word, which is the name of its folder, too.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Coco => "coco",
            Self::Yolo => "yolo",
            Self::Hf => "hf",
        }
    }

    /// Whether it is of images alone, and so of nothing without their files.
    #[must_use]
    pub const fn needs_files(self) -> bool {
        matches!(self, Self::Coco | Self::Yolo)
    }
}

impl Export {
    /// An export that takes longer fails the job.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout_ms.map(Duration::from_millis)
    }

    /// Older data is exported again before a command gets it.
    #[must_use]
    pub fn max_age(&self) -> Option<Duration> {
        self.max_age_ms.map(Duration::from_millis)
    }
}

impl Preflight {
    /// How many rows of a split there must be.
    #[must_use]
    pub fn least(&self, split: Split) -> u32 {
        match split {
            Split::Training => self.training,
            Split::Validation => self.validation,
            Split::Test => self.test,
            Split::Unassigned => 0,
        }
    }
}
