//! What a misspelled key was meant to be.

/// The known key that differs by at most two letters, if there is one.
pub(super) fn nearest<'a>(key: &str, known: &'a [String]) -> Option<&'a str> {
    let near = known
        .iter()
        .map(|other| (distance(key, other), other.as_str()));
    near.filter(|(distance, other)| *distance <= 2 && *distance < other.len())
        .min()
        .map(|(_, other)| other)
}

/// Letters to change, add or remove to get from one text to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}
