//! Labelbox's GraphQL, the only place that speaks it: what a run is, what it was told, what it is told now.
//!
//! Queries and their variables are those of the official SDK (captured from labelbox 7.17.0). Nothing is
//! tried twice in here: an error says what its [`Class`] is, and the caller decides when to call again.

mod answer;
mod budget;
mod call;
mod client;
mod connection;
mod data_rows;
mod error;
mod exchange;
mod export;
mod imports;
mod model_run;
mod ontology;
mod status;
mod wire;

pub use client::{Labelbox, LabelboxMeters};
pub use data_rows::SplitPage;
pub use error::{Class, Kind, LabelboxError};
pub use export::{ExportFile, ExportSize, ExportTask, TaskState};
pub use imports::{Import, ImportLines, ImportPhase, LineStatus};
pub use model_run::ModelRun;
pub use status::Pipeline;

/// The wait that a `Retry-After` asks for, in seconds or as an HTTP date; at most an hour.
pub(crate) fn retry_after(header: &str, now: jiff::Timestamp) -> Option<std::time::Duration> {
    answer::retry_after(header, now)
}
