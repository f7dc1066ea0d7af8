//! What came out.

use std::{path::PathBuf, time::Duration};

use serde::Serialize;

use super::{Complaint, Tried};

/// All promises that were tried, in order.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The name of the executor.
    pub executor: String,
    /// Its kind.
    pub kind: String,
    /// Each promise.
    pub promises: Vec<Kept>,
    /// Where the trial's files were left, if some promise was broken.
    pub folder: Option<PathBuf>,
}

/// What became of one promise.
#[derive(Debug, Clone, Serialize)]
pub struct Kept {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub promise: &'static str,
    /// Whether it was kept.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// How long the trial took.
    pub seconds: f64,
}

/// Whether a promise was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", content = "why", rename_all = "snake_case")]
pub enum Outcome {
    /// It was.
    Pass,
    /// It was not, and what was seen instead.
    Fail(String),
    /// It could not be tried, and why.
    Skip(String),
}

impl Report {
    pub(super) fn new(executor: String, kind: String) -> Self {
        Self {
            executor,
            kind,
            promises: Vec::new(),
            folder: None,
        }
    }

    /// Whether something was tried, and nothing was broken.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.count(|outcome| matches!(outcome, Outcome::Pass)) > 0
            && self.count(|outcome| matches!(outcome, Outcome::Fail(_))) == 0
    }

    /// How many promises came out so.
    pub fn count(&self, so: impl Fn(&Outcome) -> bool) -> usize {
        self.promises
            .iter()
            .filter(|kept| so(&kept.outcome))
            .count()
    }
}

impl Kept {
    pub(super) fn new(
        name: &'static str,
        promise: &'static str,
        took: Duration,
        outcome: Outcome,
    ) -> Self {
        Self {
            name,
            promise,
            outcome,
            seconds: (took.as_secs_f64() * 100.0).round() / 100.0,
        }
    }
}

impl From<Tried> for Outcome {
    fn from(tried: Tried) -> Self {
        match tried {
            Ok(()) => Self::Pass,
            Err(Complaint::Broken(why)) => Self::Fail(why),
            Err(Complaint::NotTried(why)) => Self::Skip(why),
        }
    }
}
