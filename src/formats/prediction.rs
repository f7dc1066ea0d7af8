//! From a shape with a class to Labelbox's import form.

use serde_json::{Map, Value, json};

use super::{
    Note, Size,
    bitmap::Bitmap,
    classes::{Class, Kind},
    mask, outline,
    shape::{Ring, Shape, closed, corners},
};
use crate::dataset::{BoundingBox, Point};

/// The key beside a prediction that says where it stood: a text such as `coco_results.json, result 17`.
pub const ORIGIN: &str = "origin";

/// The key that stands in place of a prediction and says why it is none, in lower case.
pub const REFUSED: &str = "refused";

/// Detectors put boxes a little beyond the image; so much is taken back, in pixels.
const OVERHANG: f64 = 1.0;

/// Where a prediction stood, and why it is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file below `out/`, and the place in it.
    pub place: String,
    /// Set if the line is no prediction.
    pub refused: Option<String>,
}

/// Takes out of a line that [`read_back`](super::read_back()) has written what is not for Labelbox.
pub fn take_origin(line: &mut Map<String, Value>) -> Option<Origin> {
    let mut text = |key: &str| match line.shift_remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    Some(Origin {
        place: text(ORIGIN)?,
        refused: text(REFUSED),
    })
}

/// A shape that was predicted.
#[derive(Debug)]
pub(super) struct Predicted<'a> {
    /// The data row.
    pub(super) id: &'a str,
    pub(super) class: &'a Class<Kind>,
    pub(super) shape: Shape,
    /// Of the row's image, where it is known.
    pub(super) size: Option<Size>,
    pub(super) confidence: Option<f64>,
}

/// Lines of Labelbox's import form, and what was not said in full.
pub(super) type Lines = (Vec<Map<String, Value>>, Option<Note>);

impl Predicted<'_> {
    /// One line, or several for an object in several parts of which each is one for Labelbox (captured from labelbox
    /// 7.17.0). The error says why it is none.
    pub(super) fn lines(self) -> Result<Lines, String> {
        let head = self.head();
        let (geometries, note) = geometries(self.class.kind, self.shape, self.size)?;
        if geometries.is_empty() {
            return Err(NO_EXTENT.to_owned());
        }
        let line = |(key, geometry): (&str, Value)| {
            let mut line = head.clone();
            line.insert(key.to_owned(), geometry);
            line
        };
        Ok((geometries.into_iter().map(line).collect(), note))
    }

    fn head(&self) -> Map<String, Value> {
        let tool = &self.class.tool;
        let mut head = Map::new();
        head.insert("dataRow".to_owned(), json!({ "id": self.id }));
        let (key, name) = if self.class.own_name {
            ("name", &tool.name)
        } else {
            ("schemaId", &tool.schema_id)
        };
        head.insert(key.to_owned(), name.as_str().into());
        if let Some(confidence) = self.confidence {
            head.insert("confidence".to_owned(), confidence.into());
        }
        head
    }
}

const NO_EXTENT: &str = "it has no extent";

type Geometries = (Vec<(&'static str, Value)>, Option<Note>);

/// The shape in the form that its class is drawn in.
fn geometries(kind: Kind, shape: Shape, size: Option<Size>) -> Result<Geometries, String> {
    let shape = pulled_in(shape, size);
    let bounds = shape.bounds().ok_or(NO_EXTENT)?;
    let note = match (kind, &shape) {
        (Kind::Polygon | Kind::Mask, Shape::Box(_)) => Some(Note::BoxAsRegion),
        (Kind::Polygon, Shape::Mask(_)) => Some(Note::MaskAsPolygons),
        (Kind::Polygon, Shape::Polygons(rings)) if rings.len() > 1 => Some(Note::SeveralParts),
        _ => None,
    };
    let geometries = match kind {
        Kind::Box => vec![("bbox", json!(bounds))],
        Kind::Polygon => {
            let rings = rings(shape)?.into_iter().map(closed);
            rings.map(|ring| ("polygon", json!(ring))).collect()
        }
        Kind::Mask => {
            let mask = mask_of(shape, size)?;
            if mask.bounds().is_none() {
                return Err(NO_EXTENT.to_owned());
            }
            let png = mask::to_base64(&mask).map_err(|error| error.to_string())?;
            vec![("mask", json!({ "png": png }))]
        }
    };
    Ok((geometries, note))
}

fn rings(shape: Shape) -> Result<Vec<Ring>, String> {
    match shape {
        Shape::Box(bounds) => Ok(vec![corners(&bounds)]),
        Shape::Polygons(rings) => Ok(rings),
        Shape::Mask(mask) => {
            outline::parts(&mask).ok_or_else(|| "its mask has too long an outline".to_owned())
        }
    }
}

fn mask_of(shape: Shape, size: Option<Size>) -> Result<Bitmap, String> {
    let rings = match shape {
        Shape::Mask(mask) => return Ok(mask),
        other => rings(other)?,
    };
    let size = size.ok_or("nobody knows how large its image is, which a mask must be as well")?;
    Bitmap::of_polygons(size, &rings).ok_or_else(|| "it is too large for a mask".to_owned())
}

/// What lies beyond the image by no more than detectors' usual way of rounding is brought back to its edge; what lies
/// further away stays, for whoever checks predictions to see.
fn pulled_in(shape: Shape, size: Option<Size>) -> Shape {
    let Some(Size { width, height }) = size else {
        return shape;
    };
    let x = |place: f64| edge(place, f64::from(width));
    let y = |place: f64| edge(place, f64::from(height));
    match shape {
        Shape::Box(found) => {
            let (left, top) = (x(found.left), y(found.top));
            Shape::Box(BoundingBox {
                top,
                left,
                height: y(found.top + found.height) - top,
                width: x(found.left + found.width) - left,
            })
        }
        Shape::Polygons(mut rings) => {
            for Point { x: across, y: down } in rings.iter_mut().flatten() {
                (*across, *down) = (x(*across), y(*down));
            }
            Shape::Polygons(rings)
        }
        mask @ Shape::Mask(_) => mask,
    }
}

fn edge(place: f64, length: f64) -> f64 {
    if (-OVERHANG..0.0).contains(&place) {
        0.0
    } else if place > length && place <= length + OVERHANG {
        length
    } else {
        place
    }
}
