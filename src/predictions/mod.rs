//! What a command predicted: read line by line, checked against the run's ontology and rows, and frozen into the files
//! that are sent to Labelbox.
//!
//! Nothing here grows with the number of lines but files: a million predictions cost no more memory than a thousand.

mod answer;
mod check;
mod chunks;
mod feature;
mod freeze;
mod frozen;
mod ledger;
mod line;
mod lines;
mod metric;
mod problem;
mod reasons;
mod rejected;
mod resend;
mod shape;
mod write;

pub use check::{Checked, Checker};
pub use freeze::{Draft, FreezeError, Sources, freeze};
pub use frozen::{Chunk, Frozen, Origin};
pub use line::Rejection;
pub use problem::{By, Problem};
pub use reasons::Reasons;
pub use rejected::{MOST_LISTED, RejectedFile};
pub use resend::{Fate, resend};

/// A longer line is rejected, in bytes.
pub const LINE_LIMIT: usize = 5_000_000;

/// More lines are not read from one file.
pub const MOST_LINES: u32 = 100_000_000;

/// Set in the number of a line that stands not in the command's file, but among those made of its results in another form.
pub const READ_BACK: u32 = 1 << 31;

/// Predictions of one row with one feature at most (labelbox 7.17.0: `schema/annotation_import.py`).
pub const MOST_PER_FEATURE: u32 = 5000;

/// Metrics of one row at most (docs: custom metrics).
pub const MOST_METRICS: u32 = 20;
