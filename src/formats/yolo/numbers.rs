//! A shape from the numbers of a line.

use crate::{
    dataset::{BoundingBox, Point},
    formats::{
        Size,
        shape::{Shape, opened},
    },
};

/// What the lines of a folder are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    Boxes,
    Outlines,
    /// Nothing of them is longer than a box, but the labels to learn from were outlines.
    Either,
}

/// Why numbers are no shape.
pub(super) enum NoShape {
    Unknown,
    /// Six numbers that may be a triangle as well as a box.
    Doubtful,
    /// An outline of two points or less.
    WithoutExtent,
}

pub(super) type Read = Result<(Shape, Option<f64>), NoShape>;

/// Among boxes: four numbers, a confidence, and the number of a track, which is whole. Six numbers that end otherwise may be
/// a triangle. Among outlines: two numbers for each point, and a confidence, which makes the count odd; with a track after it
/// the count is even again, and what is whole and beyond 1 can be no share of a side. What was too small to have an outline
/// has one or two points, and is no box.
pub(super) fn shape(numbers: &[f64], content: Content, size: Size) -> Read {
    match (numbers, content) {
        ([_, _, _, _, ..], Content::Outlines) => outline(numbers, size),
        ([x, y, w, h, rest @ ..], _) if rest.len() <= 2 => match rest {
            [_, track] if !is_track(*track, 1.0) => match content {
                Content::Either => outline(numbers, size),
                _ => Err(NoShape::Doubtful),
            },
            _ => {
                let shape = box_of([*x, *y, *w, *h], size);
                Ok((shape, rest.first().copied()))
            }
        },
        _ => Err(NoShape::Unknown),
    }
}

fn is_track(number: f64, least: f64) -> bool {
    number >= least && number.fract() == 0.0
}

fn outline(numbers: &[f64], size: Size) -> Read {
    let (points, confidence) = match numbers {
        [rest @ .., confidence, track] if rest.len() % 2 == 0 && is_track(*track, 2.0) => {
            (rest, Some(*confidence))
        }
        [rest @ .., confidence] if rest.len() % 2 == 0 => (rest, Some(*confidence)),
        all => (all, None),
    };
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    let (points, _) = points.as_chunks::<2>();
    let points = points.iter().map(|[x, y]| Point {
        x: tidy(x * width),
        y: tidy(y * height),
    });
    let ring = opened(points.collect());
    match ring.len() {
        ..3 => Err(NoShape::WithoutExtent),
        _ => Ok((Shape::Polygons(vec![ring]), confidence)),
    }
}

fn box_of([x, y, w, h]: [f64; 4], size: Size) -> Shape {
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    let (left, right) = (tidy((x - w / 2.0) * width), tidy((x + w / 2.0) * width));
    let (top, bottom) = (tidy((y - h / 2.0) * height), tidy((y + h / 2.0) * height));
    Shape::Box(BoundingBox {
        top,
        left,
        height: bottom - top,
        width: right - left,
    })
}

/// Six digits are printed of each share, so no more than thousandths of a pixel are told.
fn tidy(pixels: f64) -> f64 {
    (pixels * 1000.0).round() / 1000.0
}
