//! A whole export, as if it were one file.

use bytes::Bytes;

use super::{Addresses, Dataset, Rows, Wanted, generated::Pattern};

/// The lines of an export.
#[derive(Debug)]
pub(in crate::emulator) enum Content {
    Written(Bytes, usize),
    /// Made anew whenever a piece is asked for.
    Patterned(Pattern),
}

impl Content {
    pub(in crate::emulator) fn new(
        dataset: &Dataset,
        wanted: &Wanted,
        addresses: &Addresses<'_>,
    ) -> Self {
        match &dataset.rows {
            Rows::Generated(generated) => Self::Patterned(generated.pattern(wanted)),
            Rows::Listed(listed) => {
                let mut written = Vec::new();
                for row in &listed.rows {
                    written.extend(wanted.line(row, addresses));
                    written.push(b'\n');
                }
                Self::Written(written.into(), listed.rows.len())
            }
        }
    }

    /// In bytes.
    pub(in crate::emulator) fn len(&self) -> usize {
        match self {
            Self::Written(written, _) => written.len(),
            Self::Patterned(pattern) => pattern.len(),
        }
    }

    /// In lines.
    pub(in crate::emulator) fn lines(&self) -> usize {
        match self {
            Self::Written(_, lines) => *lines,
            Self::Patterned(pattern) => pattern.lines(),
        }
    }

    /// The bytes from `start` to before `end`, as far as there are any.
    pub(in crate::emulator) fn slice(&self, start: usize, end: usize) -> Bytes {
        let end = end.min(self.len());
        let start = start.min(end);
        match self {
            Self::Written(written, _) => written.slice(start..end),
            Self::Patterned(pattern) => pattern.slice(start, end).into(),
        }
    }
}
