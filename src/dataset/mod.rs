//! What a model run's data consists of: its rows with their labels, its ontology, its splits. Plain shapes, read and
//! written as JSON; who fetches them and what is made of them is decided elsewhere.

mod index;
mod ontology;
mod row;
mod split;

pub use index::{IndexedRow, RowIndex, RowIndexBuilder};
pub use ontology::{AnswerOption, Classification, Ontology, Tool};
pub use row::{
    Annotations, Answer, Answered, BoundingBox, DataRow, Label, Location, Mask, MediaAttributes,
    Object, Point, Row, TextAnswer,
};
pub use split::Split;
