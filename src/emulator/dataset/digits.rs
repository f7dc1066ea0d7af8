//! The handwritten digits of the example, each as an image and its label.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::{Map, json};

use super::{Dataset, Row, RowData, Rows, radio, radio_answer};
use crate::emulator::png;

/// 64 pixels from 0 to 16 and the digit, one image a line.
const DIGITS: &str = include_str!("../../../examples/digits/digits.csv");

/// The first so many rows are to learn from, the next to choose by, the rest to be tested with.
const TRAINING: usize = 1000;
const VALIDATION: usize = 297;

const OPTIONS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

pub(super) fn digits() -> Dataset {
    let mut media = HashMap::new();
    let mut rows = Vec::new();
    for (at, line) in DIGITS.lines().enumerate() {
        let mut cells: Vec<u8> = line
            .split(',')
            .filter_map(|cell| cell.parse().ok())
            .collect();
        let digit = cells.pop().unwrap_or_default();
        let row = row(at, usize::from(digit));
        media.insert(file_name(at), image(&cells));
        rows.push(row);
    }
    Dataset {
        name: "digits".to_owned(),
        media_type: "IMAGE",
        normalized: json!({ "tools": [], "classifications": [radio("digit", &OPTIONS)] }),
        rows: Rows::listed(rows),
        media,
    }
}

fn file_name(at: usize) -> String {
    format!("digit-{at:04}.png")
}

fn image(cells: &[u8]) -> Bytes {
    let bright = |cell: &u8| u8::try_from(u16::from(*cell) * 255 / 16).unwrap_or(u8::MAX);
    let pixels: Vec<u8> = cells.iter().map(bright).collect();
    png::grey(8, &pixels).into()
}

fn row(at: usize, digit: usize) -> Row {
    let id = format!("cl0digit{at:017}");
    let option = OPTIONS.get(digit).copied().unwrap_or("0");
    let answer = radio_answer("digit", option, &format!("cl0feature{at:014}"));
    let split = match at {
        ..TRAINING => 0,
        _ if at < TRAINING + VALIDATION => 1,
        _ => 2,
    };
    Row {
        id,
        global_key: Some(format!("digit-{at:04}")),
        external_id: Some(file_name(at)),
        row_data: RowData::Own(file_name(at)),
        media_attributes: json!({ "height": 8, "width": 8, "mime_type": "image/png" }),
        extras: Map::new(),
        annotations: json!({ "objects": [], "classifications": [answer], "relationships": [] }),
        given: None,
        split,
    }
}
