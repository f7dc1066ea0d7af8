//! Secrets, kept out of the reasons that jobs leave behind.

use crate::config::{Secret, SecretRef};

/// What is left of a secret at the end of a line that was cut is shown if it is shorter than this: it
/// tells nothing, and may be an ordinary word.
const SHORTEST_PART: usize = 8;

/// A value shorter than this is no secret, and may be a part of any word.
const SHORTEST: usize = 6;

/// The server's own secrets: as they were when it started, and wherever they stand now.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// As they were read at the start.
    pub at_start: Vec<Secret>,
    /// Where they stand: a file may have been replaced since.
    pub references: Vec<SecretRef>,
}

impl Secrets {
    /// Takes all of them out of the text, and those that `more` names. Reads files.
    pub(super) fn redact(&self, more: &[SecretRef], text: String) -> String {
        let references = self.references.iter().chain(more);
        let mut secrets: Vec<Secret> = references.filter_map(|r| r.read().ok()).collect();
        secrets.extend(self.at_start.iter().cloned());
        secrets.retain(|secret| secret.expose().len() >= SHORTEST);
        // The longest first: one may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        let text = secrets.iter().fold(text, |text, secret| {
            text.replace(secret.expose(), "[redacted]")
        });
        secrets.iter().fold(text, without_cut)
    }
}

/// The text without the beginning of a secret at its very end.
fn without_cut(text: String, secret: &Secret) -> String {
    let parts = secret.expose().char_indices().rev();
    let mut parts = parts.map(|(end, _)| &secret.expose()[..end]);
    match parts.find(|part| part.len() >= SHORTEST_PART && text.ends_with(part)) {
        Some(part) => format!("{}[redacted]", &text[..text.len() - part.len()]),
        None => text,
    }
}
