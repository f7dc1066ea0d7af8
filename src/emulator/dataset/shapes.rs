//! Drawn circles, squares and triangles on noise, each with its box, its outline and its mask.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Dataset, OWN_FILE, OWN_MASK, Row, RowData, Rows, chance::Chance, object, tool};
use crate::emulator::png;

const IMAGES: usize = 120;

/// Pixels of an image's side; of the side of each of the four fields that may hold one shape.
const SIDE: i32 = 64;
const FIELD: i32 = SIDE / 2;

/// Corners of a circle's outline.
const CORNERS: u32 = 24;

#[derive(Debug, Clone, Copy)]
enum Kind {
    Circle,
    Square,
    Triangle,
}

/// A shape reaches `r` pixels from its middle one in each direction.
#[derive(Debug, Clone, Copy)]
struct Shape {
    kind: Kind,
    x: i32,
    y: i32,
    r: i32,
    brightness: u8,
}

pub(super) fn shapes() -> Dataset {
    let mut chance = Chance::new(1);
    let (mut media, mut rows) = (HashMap::new(), Vec::new());
    for at in 0..IMAGES {
        let shapes = choose(&mut chance, at);
        media.insert(file_name(at), image(&shapes, &mut chance));
        for (number, shape) in shapes.iter().enumerate() {
            media.insert(mask_name(at, number), mask(std::slice::from_ref(shape)));
        }
        if has_picture(at) {
            media.insert(picture_name(at), mask(&shapes));
        }
        rows.push(row(at, &shapes));
    }
    let tools = Kind::ALL.into_iter().flat_map(|kind| {
        [
            tool(kind.name(), "rectangle"),
            tool(&kind.outline(), "polygon"),
            tool(&kind.mask(), "raster-segmentation"),
        ]
    });
    Dataset {
        name: "shapes".to_owned(),
        media_type: "IMAGE",
        normalized: json!({ "tools": tools.collect::<Vec<_>>(), "classifications": [] }),
        rows: Rows::listed(rows),
        media,
    }
}

/// One to three shapes in fields of their own, so that none hides another; the first one's kind goes round.
fn choose(chance: &mut Chance, at: usize) -> Vec<Shape> {
    let mut fields = [0, 1, 2, 3];
    for last in (1..fields.len()).rev() {
        fields.swap(last, chance.below(last + 1));
    }
    let count = 1 + chance.below(3);
    let shapes = fields.into_iter().take(count).enumerate();
    let shape = |(number, field): (usize, i32)| {
        let r = 5 + chance.below(9) as i32;
        let room = (FIELD - 2 * r) as usize;
        let (right, down) = (chance.below(room) as i32, chance.below(room) as i32);
        Shape {
            kind: match number {
                0 => Kind::ALL[at % 3],
                _ => Kind::ALL[chance.below(3)],
            },
            x: field % 2 * FIELD + r + right,
            y: field / 2 * FIELD + r + down,
            r,
            brightness: 150 + chance.below(100) as u8,
        }
    };
    shapes.map(shape).collect()
}

fn image(shapes: &[Shape], chance: &mut Chance) -> Bytes {
    let mut pixel = |x, y| {
        let noise = chance.below(60) as u8;
        let shape = shapes.iter().find(|shape| shape.covers(x, y));
        shape.map_or(noise, |shape| shape.brightness - noise / 4)
    };
    draw(&mut pixel)
}

fn mask(shapes: &[Shape]) -> Bytes {
    draw(
        &mut |x, y| match shapes.iter().any(|shape| shape.covers(x, y)) {
            true => u8::MAX,
            false => 0,
        },
    )
}

fn draw(pixel: &mut dyn FnMut(i32, i32) -> u8) -> Bytes {
    let places = (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (x, y)));
    let pixels: Vec<u8> = places.map(|(x, y)| pixel(x, y)).collect();
    png::grey(SIDE as u32, &pixels).into()
}

fn row(at: usize, shapes: &[Shape]) -> Row {
    let objects: Vec<Value> = shapes
        .iter()
        .enumerate()
        .flat_map(|(number, shape)| shape.objects(at, number))
        .collect();
    let mut attachments =
        vec![json!({ "type": "RAW_TEXT", "value": format!("{} shapes", shapes.len()) })];
    if has_picture(at) {
        let value = format!("{OWN_FILE}{}", picture_name(at));
        attachments.push(json!({ "type": "IMAGE", "value": value }));
    }
    let extras = Map::from_iter([("attachments".to_owned(), Value::from(attachments))]);
    Row {
        id: format!("cl0shape{at:017}"),
        global_key: Some(format!("shape-{at:04}")),
        external_id: Some(file_name(at)),
        row_data: RowData::Own(file_name(at)),
        media_attributes: json!({ "height": SIDE, "width": SIDE, "mime_type": "image/png" }),
        extras,
        annotations: json!({ "objects": objects, "classifications": [], "relationships": [] }),
        given: None,
        split: match at % 6 {
            ..4 => 0,
            4 => 1,
            _ => 2,
        },
    }
}

fn file_name(at: usize) -> String {
    format!("shape-{at:04}.png")
}

fn mask_name(at: usize, number: usize) -> String {
    format!("shape-{at:04}-mask-{number}.png")
}

fn picture_name(at: usize) -> String {
    format!("shape-{at:04}-all.png")
}

/// Some rows have a picture attached, which shows where all of their shapes are.
fn has_picture(at: usize) -> bool {
    at.is_multiple_of(10)
}

impl Kind {
    const ALL: [Self; 3] = [Self::Circle, Self::Square, Self::Triangle];

    fn name(self) -> &'static str {
        match self {
            Self::Circle => "circle",
            Self::Square => "square",
            Self::Triangle => "triangle",
        }
    }

    fn outline(self) -> String {
        format!("{} outline", self.name())
    }

    fn mask(self) -> String {
        format!("{} mask", self.name())
    }
}

impl Shape {
    fn covers(&self, x: i32, y: i32) -> bool {
        let (right, down) = (x - self.x, y - self.y);
        let is_within = right.abs() <= self.r && down.abs() <= self.r;
        match self.kind {
            Kind::Circle => right * right + down * down <= self.r * self.r,
            Kind::Square => is_within,
            Kind::Triangle => is_within && 2 * right.abs() <= down + self.r,
        }
    }

    /// The same thing in three ways.
    fn objects(&self, at: usize, number: usize) -> [Value; 3] {
        let id = |way: &str| format!("cl0shape{at:04}{number}{way}");
        let (left, top, side) = (self.x - self.r, self.y - self.r, 2 * self.r + 1);
        let bounding_box = json!({ "top": top, "left": left, "height": side, "width": side });
        let url = format!("{OWN_MASK}{}", mask_name(at, number));
        let kind = self.kind;
        [
            object(
                &id("box"),
                kind.name(),
                "ImageBoundingBox",
                "bounding_box",
                bounding_box,
            ),
            object(
                &id("outline"),
                &kind.outline(),
                "ImagePolygon",
                "polygon",
                self.polygon(),
            ),
            object(
                &id("mask"),
                &kind.mask(),
                "ImageSegmentationMask",
                "mask",
                json!({ "url": url }),
            ),
        ]
    }

    /// Along the outer edges of the pixels; a circle's as round as its corners allow.
    fn polygon(&self) -> Value {
        let (left, top) = (f64::from(self.x - self.r), f64::from(self.y - self.r));
        let side = f64::from(2 * self.r + 1);
        let points: Vec<(f64, f64)> = match self.kind {
            Kind::Square => [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)].into(),
            Kind::Triangle => [(0.5, 0.0), (1.0, 1.0), (0.0, 1.0)].into(),
            Kind::Circle => (0..CORNERS)
                .map(|corner| f64::from(corner) / f64::from(CORNERS) * std::f64::consts::TAU)
                .map(|angle| (0.5 + angle.cos() / 2.0, 0.5 + angle.sin() / 2.0))
                .collect(),
        };
        let place = |from: f64, part: f64| ((from + part * side) * 100.0).round() / 100.0;
        points
            .into_iter()
            .map(|(x, y)| json!({ "x": place(left, x), "y": place(top, y) }))
            .collect()
    }
}
