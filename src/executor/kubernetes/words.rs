//! Texts of the cluster's, as people are shown them.

/// Characters shown of a message.
const LIMIT: usize = 400;

/// A message on one line: bounded, and without what a terminal would obey.
pub(super) fn shown(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let plain = words.join(" ");
    let plain = plain.chars().filter(|c| !c.is_control());
    plain.take(LIMIT).collect()
}

/// A sentence of ours, and the cluster's words after it.
pub(super) fn with_words(ours: &str, theirs: Option<&str>) -> String {
    match theirs.map(shown).filter(|theirs| !theirs.is_empty()) {
        Some(theirs) => format!("{ours}: {theirs}"),
        None => ours.to_owned(),
    }
}
