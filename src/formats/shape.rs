//! Where an object is: a box, polygons, or single pixels.

use super::bitmap::Bitmap;
use crate::dataset::{BoundingBox, Point};

/// A closed line, without its first point again at its end.
pub(super) type Ring = Vec<Point>;

/// Where an object is in its image, in pixels.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Box(BoundingBox),
    /// Parts of one object.
    Polygons(Vec<Ring>),
    Mask(Bitmap),
}

/// Of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Size {
    /// Whole sides, if they are those of an image.
    pub(super) fn of(width: f64, height: f64) -> Option<Self> {
        let side = |side: f64| {
            let fits = (1.0..=f64::from(LONGEST_SIDE)).contains(&side.round());
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it was just seen to fit"
            )]
            fits.then(|| side.round() as u32)
        };
        Some(Self {
            width: side(width)?,
            height: side(height)?,
        })
    }
}

/// No image is larger.
const LONGEST_SIDE: u32 = 1 << 18;

impl Shape {
    /// The smallest box around it; none if it has no extent.
    pub(super) fn bounds(&self) -> Option<BoundingBox> {
        let bounds = match self {
            Self::Box(bounds) => Some(*bounds),
            Self::Polygons(rings) => bounds(rings.iter().flatten()),
            Self::Mask(mask) => mask.bounds(),
        };
        bounds.filter(has_extent)
    }

    /// In square pixels.
    pub(super) fn area(&self) -> f64 {
        match self {
            Self::Box(bounds) => bounds.width * bounds.height,
            Self::Polygons(rings) => rings.iter().map(|ring| signed_area(ring).abs()).sum(),
            Self::Mask(mask) => mask.area(),
        }
    }
}

/// A ring as it is kept: labellers' tools close it with its first point.
pub(super) fn opened(mut ring: Ring) -> Ring {
    while ring.len() > 1 && ring.first() == ring.last() {
        ring.pop();
    }
    ring
}

/// As Labelbox writes a polygon: closed (captured from labelbox 7.17.0).
pub(super) fn closed(mut ring: Ring) -> Ring {
    ring.extend(ring.first().copied());
    ring
}

/// The smallest box around some points; none if a coordinate is no number.
pub(super) fn bounds<'a>(points: impl Iterator<Item = &'a Point>) -> Option<BoundingBox> {
    let (mut least, mut most) = ((f64::MAX, f64::MAX), (f64::MIN, f64::MIN));
    for point in points {
        if !point.x.is_finite() || !point.y.is_finite() {
            return None;
        }
        least = (least.0.min(point.x), least.1.min(point.y));
        most = (most.0.max(point.x), most.1.max(point.y));
    }
    Some(BoundingBox {
        top: least.1,
        left: least.0,
        height: most.1 - least.1,
        width: most.0 - least.0,
    })
}

fn has_extent(bounds: &BoundingBox) -> bool {
    let sides = [bounds.width, bounds.height];
    let places = [bounds.left, bounds.top];
    sides.iter().all(|side| side.is_finite() && *side > 0.0)
        && places.iter().all(|place| place.is_finite())
}

/// Positive if the ring runs clockwise as people see it.
pub(super) fn signed_area(ring: &[Point]) -> f64 {
    let next = ring.iter().cycle().skip(1);
    let twice: f64 = ring
        .iter()
        .zip(next)
        .map(|(a, b)| a.x * b.y - b.x * a.y)
        .sum();
    twice / 2.0
}

/// The four corners, clockwise from the upper left.
pub(super) fn corners(bounds: &BoundingBox) -> Ring {
    let (left, top) = (bounds.left, bounds.top);
    let (right, bottom) = (left + bounds.width, top + bounds.height);
    [(left, top), (right, top), (right, bottom), (left, bottom)]
        .map(|(x, y)| Point { x, y })
        .to_vec()
}
