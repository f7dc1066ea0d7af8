//! A line that was not taken, and the sentence that people read of it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::READ_BACK;

/// Characters of a rejected line that are listed.
const TEXT_LIMIT: usize = 1000;

/// A line that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Its number in the command's file; none where Labelbox does not say which one it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Its number in `server/predictions.read_back.ndjson` instead, if it was made of results in another form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_back: Option<u32>,
    /// Who did not take it.
    pub by: By,
    /// Why, for people.
    pub reason: String,
    /// Its own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<Uuid>,
    /// Its beginning.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Later lines that were not taken for the same reason, where these are counted instead of listed.
    #[serde(default, skip_serializing_if = "is_none")]
    pub alike: u64,
}

/// Who did not take a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// It was not sent.
    Trainhook,
    /// It was sent in vain.
    Labelbox,
}

impl Problem {
    /// A line that was not taken, by its number; none where nobody knows which one it was.
    #[must_use]
    pub fn of(number: Option<u32>, by: By, reason: String) -> Self {
        let made_of_results = number.is_some_and(|number| number & READ_BACK != 0);
        let number = number.map(|number| number & !READ_BACK);
        Self {
            line: number.filter(|_| !made_of_results),
            read_back: number.filter(|_| made_of_results),
            by,
            reason,
            uuid: None,
            text: String::new(),
            alike: 0,
        }
    }

    /// A line that is not sent.
    #[must_use]
    pub fn ours(number: u32, reason: String, text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        Self {
            text: text.chars().take(TEXT_LIMIT).collect(),
            ..Self::of(Some(number), By::Trainhook, reason)
        }
    }

    /// `line 3: …`, or `30 × … (line 3 is the first)`.
    #[must_use]
    pub fn describe(&self) -> String {
        let reason = &self.reason;
        match (self.alike, self.place()) {
            (0, Some(place)) => format!("{place}: {reason}"),
            (0, None) => reason.clone(),
            (more, Some(place)) => format!("{} × {reason} ({place} is the first)", more + 1),
            (more, None) => format!("{} × {reason}", more + 1),
        }
    }

    /// Which line it is, unless nobody knows, or its reason says it.
    fn place(&self) -> Option<String> {
        match (self.line, self.read_back, self.by) {
            (Some(line), ..) => Some(format!("line {line}")),
            (None, Some(line), By::Labelbox) => {
                Some(format!("prediction {line} of those that were read back"))
            }
            _ => None,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_none(count: &u64) -> bool {
    *count == 0
}
