//! What could not be said in another format, counted.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

/// Something that a format leaves out or says less exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// A line is no row.
    UnreadableRow,
    /// A row has no file, and no text of its own.
    NoFile,
    /// A row's file is no image.
    NotAnImage,
    /// Nobody knows how large an image is.
    NoSize,
    /// A row's text is not UTF-8, or too long.
    UnreadableText,
    /// Nothing can be read of what was said of a row.
    UnreadableLabels,
    /// An object has a shape that nobody knows.
    UnreadableObject,
    /// An answer has a shape that nobody knows.
    UnreadableAnswer,
    /// A row has labels of several people: the first one counts.
    FurtherLabels,
    /// The ontology has no such class.
    UnknownClass,
    /// A question of the ontology has no such answer.
    UnknownAnswer,
    /// An object that the format has no form for, such as a line.
    OtherKind,
    /// An object without an extent.
    NoExtent,
    /// An object reaches beyond its image or text: it is cut off there.
    Outside,
    /// A mask has no file.
    NoMask,
    /// A mask's file is no mask, or too large or too ragged for one.
    UnreadableMask,
    /// A mask is not as large as its image.
    MaskSize,
    /// An entity lies within or across another one, which tags cannot say.
    Overlap,
    /// No row is for validation: those that are trained on stand in.
    NoValidation,
    /// The ontology asks for nothing that this format can hold.
    NoClasses,
    /// A predicted box of a class that is drawn as a polygon or mask: its four corners are taken.
    BoxAsRegion,
    /// A predicted mask of a class that is drawn as a polygon: each of its parts is a polygon, without holes.
    MaskAsPolygons,
    /// A predicted object in several polygons: each is an object in Labelbox.
    SeveralParts,
}

impl Note {
    const fn text(self) -> &'static str {
        match self {
            Self::UnreadableRow => "rows could not be read and were left out",
            Self::NoFile => "rows have no file and were left out",
            Self::NotAnImage => "rows are no images and were left out",
            Self::NoSize => "images of unknown size were left out",
            Self::UnreadableText => "texts are not UTF-8 or too long and were left out",
            Self::UnreadableLabels => "rows have labels that could not be read and were left out",
            Self::UnreadableObject => "objects could not be read and were left out",
            Self::UnreadableAnswer => "answers could not be read and were left out",
            Self::FurtherLabels => "rows have several labels: the first one counts",
            Self::UnknownClass => {
                "objects are of classes that the ontology does not have and were left out"
            }
            Self::UnknownAnswer => "answers are none that the ontology has and were left out",
            Self::OtherKind => "objects have no form in this format and were left out",
            Self::NoExtent => "objects have no extent and were left out",
            Self::Outside => "objects reach beyond their image or text and were cut off",
            Self::NoMask => "masks have no file and were left out",
            Self::UnreadableMask => "masks could not be read and were left out",
            Self::MaskSize => "masks are not as large as their images and were left out",
            Self::Overlap => "entities overlap others and were left out",
            Self::NoValidation => {
                "split for validation is empty: the one that is trained on stands in"
            }
            Self::NoClasses => "ontology has nothing that this format can hold",
            Self::BoxAsRegion => {
                "predicted boxes are of classes drawn otherwise: their corners were taken"
            }
            Self::MaskAsPolygons => {
                "predicted masks are of classes drawn as polygons: their outlines were taken"
            }
            Self::SeveralParts => "predicted objects are in several parts: each became an object",
        }
    }
}

/// All that could not be said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Notes {
    noted: BTreeMap<Note, Noted>,
}

/// How often something was noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Noted {
    /// So often.
    pub count: u64,
    /// The data row or place at which it was noted first.
    pub first: String,
}

impl Notes {
    pub(super) fn add(&mut self, note: Note, at: &str) {
        let noted = self.noted.entry(note).or_insert_with(|| Noted {
            count: 0,
            first: at.to_owned(),
        });
        noted.count += 1;
    }

    /// How often something was noted, and where first.
    #[must_use]
    pub fn of(&self, note: Note) -> Option<&Noted> {
        self.noted.get(&note)
    }

    /// Whether everything could be said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.noted.is_empty()
    }
}

/// `3 rows have no file and were left out (the first: cl…); …`
impl fmt::Display for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (note, Noted { count, first })) in self.noted.iter().enumerate() {
            let between = if at == 0 { "" } else { "; " };
            write!(f, "{between}{count} {} (the first: {first})", note.text())?;
        }
        Ok(())
    }
}
