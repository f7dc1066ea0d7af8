//! Any number of rows that are made when they are asked for: each is the pattern with its number put in.

use std::collections::HashMap;

use serde_json::{Map, json};

use super::{Addresses, Dataset, Row, RowData, Rows, Wanted, radio, radio_answer};

/// Digits of a row's number, wherever it stands.
const DIGITS: usize = 9;

/// Stands in the pattern where a row's number comes.
const NUMBER: &str = "#########";

/// Stands in the pattern where a row's kind comes.
const KIND: &str = "kind-@";

const KINDS: [&str; 4] = ["kind-a", "kind-b", "kind-c", "kind-d"];

#[derive(Debug)]
pub(super) struct Generated {
    rows: usize,
    line_bytes: usize,
}

/// A line that is the same for all rows but for a few bytes.
#[derive(Debug)]
pub(in crate::emulator) struct Pattern {
    rows: usize,
    line: Vec<u8>,
    numbers: Vec<usize>,
    kinds: Vec<usize>,
}

pub(super) fn generated(rows: u64, line_bytes: usize) -> Dataset {
    Dataset {
        name: "generated".to_owned(),
        media_type: "TEXT",
        normalized: json!({ "tools": [], "classifications": [radio("kind", &KINDS)] }),
        rows: Rows::Generated(Generated {
            rows: usize::try_from(rows).unwrap_or(usize::MAX).min(999_999_999),
            line_bytes,
        }),
        media: HashMap::new(),
    }
}

impl Generated {
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    pub(super) fn find(&self, id_or_key: &str) -> Option<usize> {
        let number = id_or_key
            .strip_prefix("cl0generated0000")
            .or_else(|| id_or_key.strip_prefix("row-"))?;
        let at = number.parse().ok()?;
        (number.len() == DIGITS && at < self.rows).then_some(at)
    }

    pub(super) fn row(&self, at: usize) -> Option<Row> {
        let (_, split) = self.id_and_split(at)?;
        let row = row(&number(at), KINDS[at % KINDS.len()], "");
        Some(Row { split, ..row })
    }

    pub(super) fn id_and_split(&self, at: usize) -> Option<(String, usize)> {
        let split = match at % 10 {
            ..8 => 0,
            8 => 1,
            _ => 2,
        };
        (at < self.rows).then(|| (id(&number(at)), split))
    }

    /// The lines of an export. Each has as many bytes as was wished, or as it needs.
    pub(super) fn pattern(&self, wanted: &Wanted) -> Pattern {
        let render = |text: &str| wanted.line(&row(NUMBER, KIND, text), &Addresses::NONE);
        let short = render("").len() + 1;
        let filling = "All work and no play makes a line of text long enough to be measured. ";
        let text: String = filling
            .chars()
            .cycle()
            .take(self.line_bytes.saturating_sub(short))
            .collect();
        let mut line = render(&text);
        line.push(b'\n');
        Pattern {
            rows: self.rows,
            numbers: places(&line, NUMBER.as_bytes()),
            kinds: places(&line, KIND.as_bytes()),
            line,
        }
    }
}

fn number(at: usize) -> String {
    format!("{at:0DIGITS$}")
}

fn id(number: &str) -> String {
    format!("cl0generated0000{number}")
}

fn row(number: &str, kind: &str, text: &str) -> Row {
    let answer = radio_answer("kind", kind, &format!("cl0feature00000{number}"));
    Row {
        id: id(number),
        global_key: Some(format!("row-{number}")),
        external_id: None,
        row_data: RowData::Given(format!("Row {number} is of {kind}. {text}")),
        media_attributes: json!({ "mime_type": "text/plain" }),
        extras: Map::new(),
        annotations: json!({ "objects": [], "classifications": [answer], "relationships": [] }),
        given: None,
        split: 0,
    }
}

fn places(line: &[u8], mark: &[u8]) -> Vec<usize> {
    let windows = line.windows(mark.len()).enumerate();
    windows
        .filter(|(_, window)| *window == mark)
        .map(|(at, _)| at)
        .collect()
}

impl Pattern {
    pub(super) fn len(&self) -> usize {
        self.rows * self.line.len()
    }

    pub(super) fn lines(&self) -> usize {
        self.rows
    }

    /// Whole lines are made, and the piece cut out of them.
    pub(super) fn slice(&self, start: usize, end: usize) -> Vec<u8> {
        let length = self.line.len();
        let (first, after) = (start / length, end.div_ceil(length));
        let mut bytes = Vec::with_capacity((after - first) * length);
        for row in first..after {
            let from = bytes.len();
            bytes.extend_from_slice(&self.line);
            self.put_in(&mut bytes[from..], row);
        }
        bytes.truncate(end - first * length);
        bytes.drain(..start - first * length);
        bytes
    }

    fn put_in(&self, line: &mut [u8], row: usize) {
        let mut digits = [b'0'; DIGITS];
        let mut rest = row;
        for digit in digits.iter_mut().rev() {
            *digit = b"0123456789"[rest % 10];
            rest /= 10;
        }
        for at in &self.numbers {
            line[*at..at + DIGITS].copy_from_slice(&digits);
        }
        let kind = KINDS[row % KINDS.len()].as_bytes();
        for at in &self.kinds {
            line[*at..at + kind.len()].copy_from_slice(kind);
        }
    }
}
