//! Which pixels of an image belong to an object, in one bit each.

use std::ops::Range;

use super::{
    Size,
    shape::{Ring, bounds},
};
use crate::dataset::{BoundingBox, Point};

/// No larger mask is held: 32 MiB.
const MOST_PIXELS: u64 = 1 << 28;

/// No more crossings of a polygon's edges with columns of pixels are held: 128 MiB.
const MOST_CROSSINGS: u64 = 1 << 24;

/// Pixels column after column, each from above, as COCO counts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bitmap {
    size: Size,
    words: Vec<u64>,
}

const BITS: usize = u64::BITS as usize;

impl Bitmap {
    /// An image without the object; none if it would be too large.
    pub(super) fn new(size: Size) -> Option<Self> {
        let pixels = u64::from(size.width) * u64::from(size.height);
        let fits = usize::try_from(pixels)
            .ok()
            .filter(|_| pixels <= MOST_PIXELS)?;
        Some(Self {
            size,
            words: vec![0; fits.div_ceil(BITS)],
        })
    }

    /// The pixels whose centres lie in any of the rings; none if it would be too much.
    pub(super) fn of_polygons(size: Size, rings: &[Ring]) -> Option<Self> {
        let mut bitmap = Self::new(size)?;
        for ring in rings {
            bitmap.fill_ring(ring)?;
        }
        Some(bitmap)
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    fn column(&self) -> usize {
        self.size.height as usize
    }

    /// How many pixels there are.
    pub(super) fn len(&self) -> usize {
        self.column() * self.size.width as usize
    }

    /// Whether a pixel belongs to the object; those outside never do.
    pub(super) fn has(&self, x: i64, y: i64) -> bool {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else {
            return false;
        };
        let inside = x < self.size.width && y < self.size.height;
        inside && self.bit(x as usize * self.column() + y as usize)
    }

    fn bit(&self, at: usize) -> bool {
        let word = self.words.get(at / BITS).copied().unwrap_or(0);
        word >> (at % BITS) & 1 == 1
    }

    /// Adds a pixel; one that is outside is not added.
    pub(super) fn add(&mut self, x: u32, y: u32) {
        if x < self.size.width && y < self.size.height {
            let at = x as usize * self.column() + y as usize;
            self.add_run(at..at + 1);
        }
    }

    /// Adds pixels in COCO's order, as far as there are so many.
    pub(super) fn add_run(&mut self, run: Range<usize>) {
        let end = run.end.min(self.len());
        let mut at = run.start;
        while at < end {
            let (word, bit) = (at / BITS, at % BITS);
            let count = (BITS - bit).min(end - at);
            if let Some(word) = self.words.get_mut(word) {
                *word |= (u64::MAX >> (BITS - count)) << bit;
            }
            at += count;
        }
    }

    /// The runs of the object's pixels in COCO's order; none of them touches the next.
    pub(super) fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = self.next(at, true)?;
            let end = self.next(start, false).unwrap_or(self.len());
            at = end;
            Some(start..end)
        })
    }

    /// The runs of the object's pixels, none longer than its column: the column and its rows.
    pub(super) fn columns(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let height = self.column();
        let pieces = move |run: Range<usize>| {
            let mut start = run.start;
            std::iter::from_fn(move || {
                let column = start / height;
                let end = run.end.min((column + 1) * height);
                let piece = (column, start - column * height..end - column * height);
                let more = start < run.end;
                start = end;
                more.then_some(piece)
            })
        };
        self.runs().flat_map(pieces)
    }

    /// The first pixel from `at` on that is set, or is not.
    fn next(&self, at: usize, set: bool) -> Option<usize> {
        let flip = if set { 0 } else { u64::MAX };
        let mut word = at / BITS;
        let mut bits = (self.words.get(word)? ^ flip) & (u64::MAX << (at % BITS));
        while bits == 0 {
            word += 1;
            bits = self.words.get(word)? ^ flip;
        }
        let found = word * BITS + bits.trailing_zeros() as usize;
        (found < self.len()).then_some(found)
    }

    /// How many pixels the object has.
    pub(super) fn area(&self) -> f64 {
        let pixels: u64 = self
            .words
            .iter()
            .map(|word| u64::from(word.count_ones()))
            .sum();
        float(pixels)
    }

    /// The smallest box around the object; none if it has no pixel.
    pub(super) fn bounds(&self) -> Option<BoundingBox> {
        let mut found: Option<[usize; 4]> = None;
        for (x, rows) in self.columns() {
            let [left, top, _, bottom] = found.unwrap_or([x, rows.start, x, rows.end]);
            found = Some([left, top.min(rows.start), x + 1, bottom.max(rows.end)]);
        }
        let [left, top, right, bottom] = found?.map(|side| float(side as u64));
        Some(BoundingBox {
            top,
            left,
            height: bottom - top,
            width: right - left,
        })
    }

    /// Adds the pixels whose centres lie in the ring by the rule of even and odd.
    fn fill_ring(&mut self, ring: &Ring) -> Option<()> {
        let around = bounds(ring.iter())?;
        let columns = centres(around.left, around.left + around.width, self.size.width);
        let mut crossings: Vec<Vec<f64>> = vec![Vec::new(); columns.len()];
        let mut budget = MOST_CROSSINGS;
        for (from, to) in ring.iter().zip(ring.iter().cycle().skip(1)) {
            let (left, right) = (from.x.min(to.x), from.x.max(to.x));
            let spanned = centres(left, right, self.size.width);
            budget = budget.checked_sub(spanned.len() as u64)?;
            for x in spanned {
                let crossings = crossings.get_mut(x - columns.start);
                crossings
                    .into_iter()
                    .for_each(|ys| ys.push(crossing(from, to, x)));
            }
        }
        for (x, mut ys) in columns.zip(crossings) {
            ys.sort_by(f64::total_cmp);
            for pair in ys.chunks_exact(2) {
                let rows = centres(pair[0], pair[1], self.size.height);
                let first = x * self.column();
                self.add_run(first + rows.start..first + rows.end);
            }
        }
        Some(())
    }
}

/// The pixels of a line of `count` whose centres lie from `from` to before `to`.
fn centres(from: f64, to: f64, count: u32) -> Range<usize> {
    let pixel = |place: f64| {
        let place = (place - 0.5).ceil().clamp(0.0, f64::from(count));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it was just brought between 0 and a count"
        )]
        let place = place as usize;
        place
    };
    let start = pixel(from);
    start..pixel(to).max(start)
}

/// Where a line meets the middle of a column.
fn crossing(from: &Point, to: &Point, x: usize) -> f64 {
    let share = (float(x as u64) + 0.5 - from.x) / (to.x - from.x);
    from.y + share * (to.y - from.y)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no count of pixels is that large"
)]
fn float(count: u64) -> f64 {
    count as f64
}
