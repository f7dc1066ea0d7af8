//! The forms of data that trainings know: COCO, YOLO and Hugging Face's, written of an export and read back as predictions.
//!
//! All of it blocks: call it from `spawn_blocking`. [`write()`] comes last in `exporting`, when the splits, the ontology
//! and, if they are fetched, the files with their `local_path` in the rows are there; whatever an earlier call has left
//! is replaced, so after a crash it is simply called again. It numbers the rows in an index of its own, for which the
//! job's `server/` is the place. [`read_back()`] comes first in `uploading`, if the model's `formats` have `coco` or
//! `yolo`: it finds the images of results by that index and leaves predictions in Labelbox's import form in a file, to
//! be checked and sent together with those of `out/predictions.ndjson`. Each of its lines has an [`ORIGIN`] beside the
//! prediction, which [`take_origin`] takes out before the line is sent, and lines that are no prediction say why.

mod bitmap;
mod classes;
mod coco;
mod error;
mod hf;
mod image;
mod lines;
mod mask;
mod medium;
mod notes;
mod numbers;
mod outline;
mod prediction;
mod read_back;
mod rle;
mod shape;
mod targets;
mod write;
mod yaml;
mod yolo;

pub use error::FormatError;
pub use notes::{Note, Noted, Notes};
pub use prediction::{ORIGIN, Origin, REFUSED, take_origin};
pub use read_back::{ReadBack, Summary, read_back};
pub use write::{Write, Written, write};

use shape::Size;

/// Below `out/`: where [`read_back()`] looks for results.
pub const RESULTS: [&str; 2] = [coco::RESULTS, yolo::LABELS];
