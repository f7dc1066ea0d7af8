//! Lines of a file, one at a time, none longer than a bound.

use std::io::{self, BufRead};

/// Lines of a reader, from first to last.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    most: usize,
    /// Where the next line begins.
    offset: u64,
    /// Of the last line, from 1, with those that are blank.
    number: u64,
    line: Vec<u8>,
}

/// A line without its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) offset: u64,
    /// From 1.
    pub(super) number: u64,
    /// None if it is longer than the bound.
    pub(super) content: Option<&'a [u8]>,
}

impl<R: BufRead> Lines<R> {
    /// Lines of at most `most` bytes.
    pub(super) fn new(reader: R, most: usize) -> Self {
        Self {
            reader,
            most,
            offset: 0,
            number: 0,
            line: Vec::new(),
        }
    }

    /// The next line that is not blank.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            let offset = self.offset;
            self.number += 1;
            let Some(whole) = self.read()? else {
                return Ok(None);
            };
            if !whole || !self.line.trim_ascii().is_empty() {
                let content = whole.then(|| self.line.trim_ascii());
                let number = self.number;
                return Ok(Some(Line {
                    offset,
                    number,
                    content,
                }));
            }
        }
    }

    /// Reads a line; false if it is too long to be kept, none at the end.
    fn read(&mut self) -> io::Result<Option<bool>> {
        self.line.clear();
        let (mut whole, mut begun) = (true, false);
        loop {
            let ready = self.reader.fill_buf()?;
            if ready.is_empty() {
                return Ok(begun.then_some(whole));
            }
            begun = true;
            let end = ready.iter().position(|byte| *byte == b'\n');
            let piece = ready.get(..end.unwrap_or(ready.len())).unwrap_or_default();
            whole = whole && self.line.len() + piece.len() <= self.most;
            if whole {
                self.line.extend_from_slice(piece);
            }
            let used = piece.len() + usize::from(end.is_some());
            self.reader.consume(used);
            self.offset += used as u64;
            if end.is_some() {
                return Ok(Some(whole));
            }
        }
    }
}
