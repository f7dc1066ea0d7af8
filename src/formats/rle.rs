//! Masks as COCO keeps them: the lengths of runs, alternately without and with the object (cocoapi: `common/maskApi.c`).

use super::{Size, bitmap::Bitmap};

/// A longer text is not written: whoever drew that drew noise.
const LONGEST_TEXT: usize = 16 << 20;

/// Bits that one character carries.
const BITS: u32 = 5;

/// Says that another character follows.
const MORE: i64 = 0x20;

/// The sign of the last character's bits.
const SIGN: i64 = 0x10;

/// The lowest character.
const FIRST: u8 = 48;

/// Why runs are no mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum RleError {
    #[error("its runs are longer than its size")]
    TooLong,
    #[error("its counts are no run lengths")]
    NoRuns,
    #[error("it is too large")]
    TooLarge,
}

/// The compressed text of a mask; none if it would be too long.
pub(super) fn compressed(mask: &Bitmap) -> Option<String> {
    let mut text = Text::default();
    let mut end = 0;
    for run in mask.runs() {
        text.push(run.start - end)?;
        text.push(run.len())?;
        end = run.end;
    }
    if end < mask.len() || end == 0 {
        text.push(mask.len() - end)?;
    }
    Some(text.written)
}

/// Each count but the first three is written as its difference from the one before the last.
#[derive(Debug, Default)]
struct Text {
    written: String,
    counts: usize,
    last: [i64; 2],
}

impl Text {
    fn push(&mut self, count: usize) -> Option<()> {
        let count = i64::try_from(count).ok()?;
        let [before, last] = self.last;
        let mut rest = if self.counts > 2 {
            count - before
        } else {
            count
        };
        loop {
            let bits = rest & (MORE - 1);
            rest >>= BITS;
            let done = rest == if bits & SIGN == 0 { 0 } else { -1 };
            let character = if done { bits } else { bits | MORE };
            let character = u8::try_from(character).ok()?;
            self.written.push(char::from(FIRST + character));
            if done {
                break;
            }
        }
        self.counts += 1;
        self.last = [last, count];
        (self.written.len() <= LONGEST_TEXT).then_some(())
    }
}

/// The mask of a compressed text.
pub(super) fn of_text(size: Size, text: &str) -> Result<Bitmap, RleError> {
    let mut runs = Runs::new(size)?;
    let (mut last, mut counts) = ([0_i64; 2], 0);
    let mut characters = text.bytes();
    while let Some(difference) = number(&mut characters)? {
        let [before, latest] = last;
        let count = if counts > 2 {
            difference.checked_add(before).ok_or(RleError::NoRuns)?
        } else {
            difference
        };
        runs.push(u64::try_from(count).map_err(|_| RleError::NoRuns)?)?;
        last = [latest, count];
        counts += 1;
    }
    Ok(runs.mask)
}

/// The mask of plain counts.
pub(super) fn of_counts(size: Size, counts: &[u64]) -> Result<Bitmap, RleError> {
    let mut runs = Runs::new(size)?;
    counts.iter().try_for_each(|count| runs.push(*count))?;
    Ok(runs.mask)
}

/// The next number of a text; none at its end.
fn number(characters: &mut impl Iterator<Item = u8>) -> Result<Option<i64>, RleError> {
    let (mut number, mut shift) = (0_i64, 0);
    loop {
        let Some(character) = characters.next() else {
            return if shift == 0 {
                Ok(None)
            } else {
                Err(RleError::NoRuns)
            };
        };
        let bits = character.checked_sub(FIRST).map(i64::from);
        let bits = bits
            .filter(|bits| *bits < 2 * MORE)
            .ok_or(RleError::NoRuns)?;
        number |= (bits & (MORE - 1)) << shift;
        shift += BITS;
        if bits & MORE == 0 {
            let sign = if bits & SIGN == 0 { 0 } else { -1 << shift };
            return Ok(Some(number | sign));
        }
        if shift > 50 {
            return Err(RleError::NoRuns);
        }
    }
}

/// A mask that is being filled.
#[derive(Debug)]
struct Runs {
    mask: Bitmap,
    at: usize,
    of_object: bool,
}

impl Runs {
    fn new(size: Size) -> Result<Self, RleError> {
        Ok(Self {
            mask: Bitmap::new(size).ok_or(RleError::TooLarge)?,
            at: 0,
            of_object: false,
        })
    }

    fn push(&mut self, count: u64) -> Result<(), RleError> {
        let end = usize::try_from(count)
            .ok()
            .and_then(|count| self.at.checked_add(count))
            .filter(|end| *end <= self.mask.len())
            .ok_or(RleError::TooLong)?;
        if self.of_object {
            self.mask.add_run(self.at..end);
        }
        self.of_object = !self.of_object;
        self.at = end;
        Ok(())
    }
}
