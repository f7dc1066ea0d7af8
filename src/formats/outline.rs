//! The lines around the pixels of a mask.

use super::{
    bitmap::Bitmap,
    shape::{Ring, signed_area},
};
use crate::dataset::Point;

/// A mask with longer outlines is not a shape that anybody drew.
const MOST_POINTS: usize = 1 << 20;

/// Rings along the edges of pixels, the object always to the right: those around parts of the object run clockwise,
/// those around holes the other way. Pixels that only touch at a corner are apart. None if it would be too much.
pub(super) fn rings(mask: &Bitmap) -> Option<Vec<Ring>> {
    let mut seen = Bitmap::new(mask.size())?;
    let (mut rings, mut points) = (Vec::new(), 0);
    // Each ring runs at least once along the upper edge of a pixel with nothing above it.
    for (x, rows) in mask.columns() {
        let (x, y) = (i64::try_from(x).ok()?, i64::try_from(rows.start).ok()?);
        if !seen.has(x, y) {
            let ring = follow(mask, &mut seen, (x, y), MOST_POINTS - points)?;
            points += ring.len();
            rings.push(ring);
        }
    }
    Some(rings)
}

/// The parts of the object, without their holes.
pub(super) fn parts(mask: &Bitmap) -> Option<Vec<Ring>> {
    let mut parts = rings(mask)?;
    parts.retain(|ring| signed_area(ring) > 0.0);
    Some(parts)
}

/// One line around everything: parts and holes hang together by lines that are walked forth and back, which the
/// rule of even and odd does not see.
pub(super) fn joined(rings: Vec<Ring>) -> Ring {
    let mut rings = rings.into_iter();
    let Some(mut line) = rings.next() else {
        return Ring::new();
    };
    let home = line.first().copied();
    for ring in rings {
        let first = ring.first().copied();
        line.extend(home);
        line.extend(ring);
        line.extend(first);
    }
    line
}

/// One step along an edge: to the right, down, left, up.
const STEPS: [(i64, i64); 4] = [(1, 0), (0, 1), (-1, 0), (0, -1)];

fn follow(mask: &Bitmap, seen: &mut Bitmap, start: (i64, i64), most: usize) -> Option<Ring> {
    let ((mut x, mut y), mut direction) = (start, 0_usize);
    let mut ring = Ring::new();
    loop {
        if direction == 0 {
            seen.add(u32::try_from(x).ok()?, u32::try_from(y).ok()?);
        }
        let (dx, dy) = STEPS[direction];
        (x, y) = (x + dx, y + dy);
        let turned = turn(mask, (x, y), direction);
        if turned != direction {
            ring.push(Point {
                x: coordinate(x),
                y: coordinate(y),
            });
        }
        direction = turned;
        if ((x, y), direction) == (start, 0) {
            return Some(ring);
        }
        if ring.len() > most {
            return None;
        }
    }
}

/// Where the line goes on from a corner of pixels.
fn turn(mask: &Bitmap, (x, y): (i64, i64), direction: usize) -> usize {
    // The pixels to the lower right, lower left, upper left and upper right of the corner.
    let around = [(x, y), (x - 1, y), (x - 1, y - 1), (x, y - 1)];
    let has = |at: usize| {
        let (x, y) = around[at % 4];
        mask.has(x, y)
    };
    let (right_ahead, left_ahead) = (direction, direction + 3);
    if !has(right_ahead) {
        (direction + 1) % 4
    } else if has(left_ahead) {
        (direction + 3) % 4
    } else {
        direction
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no side of an image is that long"
)]
fn coordinate(place: i64) -> f64 {
    place as f64
}
