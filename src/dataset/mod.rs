//! What a model run's data consists of: its rows with their labels, its ontology, its splits. Plain shapes, read and
//! written as JSON; who fetches them and what is made of them is decided elsewhere.

mod error;
mod found;
mod head;
mod index;
mod manifest;
mod ontology;
mod row;
mod split;

pub use error::RowError;
pub(crate) use found::Found;
pub use head::RowHead;
pub use index::{IndexedRow, RowIndex, RowIndexWriter, index_length, name_hash};
pub use manifest::{DataFile, FileDigest, Manifest, MissingFile};
pub use ontology::{AnswerOption, Classification, Ontology, Tool};
pub use row::{
    Annotations, Answer, Answered, BoundingBox, DataRow, Label, Location, Mask, MediaAttributes,
    Object, Point, Row, TextAnswer,
};
pub use split::Split;
