//! Lines of a file of any size, each bounded.

use std::io::{self, BufRead, Read};

use super::LINE_LIMIT;

/// Bytes of a line that is too long which are skipped at once.
const SKIP: u64 = 64 * 1024;

/// Reads line after line.
pub(super) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    number: u64,
}

/// A line and its number, from 1.
pub(super) struct Numbered<'a> {
    pub(super) number: u64,
    /// Its beginning only, if it is too long.
    pub(super) text: &'a [u8],
    pub(super) too_long: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn of(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            number: 0,
        }
    }

    /// The next line that holds something; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Numbered<'_>>> {
        let mut too_long;
        loop {
            self.buffer.clear();
            if self.read_until_end_of_line(LINE_LIMIT as u64 + 1)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            too_long = self.buffer.len() > LINE_LIMIT && self.buffer.last() != Some(&b'\n');
            if too_long {
                self.skip_rest()?;
                break;
            }
            if !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        Ok(Some(Numbered {
            number: self.number,
            text: self.buffer.trim_ascii(),
            too_long,
        }))
    }

    fn read_until_end_of_line(&mut self, most: u64) -> io::Result<usize> {
        let mut bounded = (&mut self.reader).take(most);
        bounded.read_until(b'\n', &mut self.buffer)
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        let kept = self.buffer.len();
        loop {
            let read = self.read_until_end_of_line(SKIP)?;
            let ended = read == 0 || self.buffer.last() == Some(&b'\n');
            self.buffer.truncate(kept);
            if ended {
                return Ok(());
            }
        }
    }
}
