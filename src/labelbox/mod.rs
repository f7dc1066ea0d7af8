//! Labelbox's GraphQL, the only place that speaks it: what a run is, what it was told, what it is told now.
//!
//! Queries and their variables are those of the official SDK (captured from labelbox 7.17.0). Nothing is
//! tried twice in here: an error says what its [`Class`] is, and the caller decides when to call again.

mod answer;
mod client;
mod error;
mod model_run;
mod status;
mod wire;

pub use client::{Labelbox, LabelboxMeters};
pub use error::{Class, Kind, LabelboxError};
pub use model_run::ModelRun;
pub use status::Pipeline;
