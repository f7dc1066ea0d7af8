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
    /// An export that takes longer fails the job; none if written `"none"`. Default 6 h.
    pub timeout_ms: Option<u64>,
    /// Older data is exported again before a command gets it; none if written `"none"`. Default 12 h.
    #[serde(default)]
    pub max_age_ms: Option<u64>,
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

/// `preflight = { training = 1, test = 1, every_class_labelled = true }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflight {
    /// Rows to learn from, at least.
    pub training: u32,
    /// Rows to choose by, at least.
    pub validation: u32,
    /// Rows to be measured by, at least.
    pub test: u32,
    /// Whether every class of the ontology must stand in some label.
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

/// How many of something may go wrong before all of it counts as failed: `max_row_errors = "1%"`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tolerance {
    /// At most so many.
    Count(u64),
    /// At most this share of all, in percent.
    Percent(f64),
}

impl Default for Tolerance {
    /// None.
    fn default() -> Self {
        Self::Count(0)
    }
}

impl Tolerance {
    /// Reads `"1%"` or `"0.5%"`. None if it is anything else, or not from 0 to 100.
    #[must_use]
    pub fn parse_percent(text: &str) -> Option<Self> {
        let percent: f64 = text.strip_suffix('%')?.trim_end().parse().ok()?;
        (0.0..=100.0)
            .contains(&percent)
            .then_some(Self::Percent(percent))
    }

    /// Whether so many of all may go wrong.
    #[must_use]
    pub fn allows(self, wrong: u64, all: u64) -> bool {
        match self {
            Self::Count(most) => wrong <= most,
            #[expect(
                clippy::cast_precision_loss,
                reason = "counts are far below what a float holds exactly"
            )]
            Self::Percent(percent) => wrong as f64 * 100.0 <= percent * all as f64,
        }
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
