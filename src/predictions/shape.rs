//! Boxes, polygons, lines, points, spans of text and masks.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    line::{Key, Rejection, typed, wrong},
    write::{Object, number},
};

/// So far outside its image a shape may be, in pixels: the arithmetic of training frameworks is not exact.
const SLACK: f64 = 0.01;

/// Width and height of an image, in pixels.
type Size = (u32, u32);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bbox {
    top: f64,
    left: f64,
    height: f64,
    width: f64,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Point {
    x: f64,
    y: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Location {
    start: u64,
    end: u64,
}

/// Checks a shape and writes it; what is not known is passed on.
pub(super) fn write(
    key: Key,
    raw: &RawValue,
    size: Option<Size>,
    object: &mut Object<'_>,
) -> Result<(), Rejection> {
    check_form(key, raw.get())?;
    match key {
        Key::Bbox => check_bbox(raw, size)?,
        Key::Polygon => return write_polygon(raw, size, object),
        Key::Polyline => drop(points(key, raw, size, 2)?),
        Key::Point => check_point(typed(key.as_str(), raw)?, size)?,
        Key::Location => check_location(raw)?,
        Key::Mask => check_mask(raw)?,
        _ => {}
    }
    object.raw(key.as_str(), raw);
    Ok(())
}

/// Lists of numbers are how other tools write boxes and points, in orders of their own: Labelbox takes objects alone, and a
/// reader of these would take a list for one in the order of its own fields.
fn check_form(key: Key, json: &str) -> Result<(), Rejection> {
    let (lists, needed) = match key {
        Key::Bbox => (0, "an object with top, left, height and width"),
        Key::Point => (0, "an object with x and y"),
        Key::Location => (0, "an object with start and end"),
        Key::Mask => (0, "an object with instanceURI or png"),
        Key::Polygon | Key::Polyline => (1, "a list of objects with x and y"),
        _ => return Ok(()),
    };
    // No text belongs into a list of points; within a mask's, a bracket is no list.
    let looked_at = if key == Key::Mask { 1 } else { json.len() };
    let beyond = json
        .bytes()
        .take(looked_at)
        .filter(|byte| *byte == b'[')
        .nth(lists);
    match beyond {
        None => Ok(()),
        Some(_) => Err(Rejection::new(format!(
            "{}: needs {needed}, not numbers in a list",
            key.as_str()
        ))),
    }
}

fn check_bbox(raw: &RawValue, size: Option<Size>) -> Result<(), Rejection> {
    let Bbox {
        top,
        left,
        height,
        width,
    } = typed("bbox", raw)?;
    if height <= 0.0 || width <= 0.0 {
        return Err(Rejection::new("bbox: width and height must be above 0"));
    }
    let ends = [(left, left + width), (top, top + height)];
    match size {
        Some(size) if !is_within(ends, size) => Err(outside("the box", size)),
        _ => Ok(()),
    }
}

fn is_within([across, down]: [(f64, f64); 2], (width, height): Size) -> bool {
    let within =
        |(from, to): (f64, f64), most: u32| from >= -SLACK && to <= f64::from(most) + SLACK;
    within(across, width) && within(down, height)
}

fn outside(what: &str, (width, height): Size) -> Rejection {
    Rejection::new(format!(
        "{what} is not within its image of {width} × {height} pixels"
    ))
}

fn check_point(point: Point, size: Option<Size>) -> Result<(), Rejection> {
    match size {
        Some(size) if !is_within([(point.x, point.x), (point.y, point.y)], size) => {
            Err(outside("a point", size))
        }
        _ => Ok(()),
    }
}

fn points(
    key: Key,
    raw: &RawValue,
    size: Option<Size>,
    least: usize,
) -> Result<Vec<Point>, Rejection> {
    let points: Vec<Point> = typed(key.as_str(), raw)?;
    if points.len() < least {
        let key = key.as_str();
        return Err(Rejection::new(format!(
            "{key}: needs {least} points or more"
        )));
    }
    points
        .iter()
        .try_for_each(|point| check_point(*point, size))?;
    Ok(points)
}

/// The first point comes again at the end, as the SDK sends it.
fn write_polygon(
    raw: &RawValue,
    size: Option<Size>,
    object: &mut Object<'_>,
) -> Result<(), Rejection> {
    let points = points(Key::Polygon, raw, size, 3)?;
    let out = object.key(Key::Polygon.as_str());
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Ok(());
    };
    match raw.get().trim_end().strip_suffix(']') {
        Some(open) if first != last => {
            out.extend_from_slice(open.as_bytes());
            out.extend_from_slice(b",{\"x\":");
            number(out, first.x);
            out.extend_from_slice(b",\"y\":");
            number(out, first.y);
            out.extend_from_slice(b"}]");
        }
        _ => out.extend_from_slice(raw.get().as_bytes()),
    }
    Ok(())
}

fn check_location(raw: &RawValue) -> Result<(), Rejection> {
    let Location { start, end } = typed("location", raw)?;
    match start <= end {
        true => Ok(()),
        false => Err(Rejection::new(
            "location: end comes before start; it is the last character that belongs to the entity",
        )),
    }
}

/// Either of the two forms of the SDK (labelbox 7.17.0: `serialization/ndjson/objects.py`).
fn check_mask(raw: &RawValue) -> Result<(), Rejection> {
    #[derive(Deserialize)]
    struct Mask<'a> {
        #[serde(borrow, default, rename = "instanceURI")]
        instance_uri: Option<std::borrow::Cow<'a, str>>,
        #[serde(borrow, default)]
        png: Option<std::borrow::Cow<'a, str>>,
    }
    let mask: Mask<'_> = serde_json::from_str(raw.get()).map_err(|error| wrong("mask", &error))?;
    match (mask.instance_uri, mask.png) {
        (Some(_), None) | (None, Some(_)) => Ok(()),
        _ => Err(Rejection::new("mask: needs instanceURI or png")),
    }
}
