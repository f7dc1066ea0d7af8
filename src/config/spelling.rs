//! Names that are meant, and nearly written.

/// Whether two names differ by a letter, or longer ones by two.
pub(super) fn is_near(one: &str, other: &str) -> bool {
    let shorter = one.len().min(other.len());
    let most = match shorter {
        ..3 => return false,
        3..7 => 1,
        _ => 2,
    };
    one.len().abs_diff(other.len()) <= most && distance(one.as_bytes(), other.as_bytes()) <= most
}

/// How many letters must be put in, taken out or replaced to make one name of the other.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.iter().enumerate() {
        let mut diagonal = above;
        let mut left = above + 1;
        for (place, wanted) in row.iter_mut().skip(1).zip(other) {
            let replaced = diagonal + usize::from(letter != wanted);
            diagonal = *place;
            left = replaced.min(left + 1).min(diagonal + 1);
            *place = left;
        }
        if let Some(first) = row.first_mut() {
            *first = above + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
