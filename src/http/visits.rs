//! What came to Labelbox's listener since the start: how often each answer was given, and the last requests that were
//! refused, for whoever sets the connection up. In memory only, and bounded.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// Refused requests that are kept; the oldest go first.
const KEPT: usize = 100;

/// At most this many signatures are diagnosed in a second: it costs a dozen hashes of the body.
const DIAGNOSES_PER_SECOND: u32 = 5;

/// What came to the listener.
#[derive(Debug, Default)]
pub struct Visits {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    /// By workspace, then by answer.
    answers: BTreeMap<String, BTreeMap<&'static str, u64>>,
    refused: VecDeque<RefusedRequest>,
    diagnoses: (Timestamp, u32),
}

/// A request that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedRequest {
    /// When.
    pub at: Timestamp,
    /// Where it came from, as far as proxies are trusted.
    pub sender: IpAddr,
    /// Its method.
    pub method: String,
    /// Its path, shortened.
    pub path: String,
    /// The workspace it came to, if to any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The answer's status.
    pub status: u16,
    /// The answer's code.
    pub code: &'static str,
    /// What the sender was told.
    pub message: String,
    /// What the sender was not told: what may be wrong with a signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<String>,
}

impl Visits {
    /// Counts an answer of a workspace; its name is empty for what belongs to none.
    pub(super) fn count(&self, workspace: &str, answer: &'static str) {
        let mut book = self.book();
        // Nothing is allocated after the first time.
        if let Some(answers) = book.answers.get_mut(workspace) {
            *answers.entry(answer).or_default() += 1;
        } else {
            let first = BTreeMap::from([(answer, 1)]);
            book.answers.insert(workspace.to_owned(), first);
        }
    }

    /// Keeps a refused request.
    pub(super) fn note_refusal(&self, refused: RefusedRequest) {
        let mut book = self.book();
        if book.refused.len() >= KEPT {
            book.refused.pop_front();
        }
        book.refused.push_back(refused);
    }

    /// Whether one more signature may be diagnosed in this second.
    pub(super) fn may_diagnose(&self, now: Timestamp) -> bool {
        let mut book = self.book();
        let (since, count) = book.diagnoses;
        let age = now.duration_since(since).abs();
        book.diagnoses = match age < SignedDuration::from_secs(1) {
            true => (since, count.saturating_add(1)),
            false => (now, 1),
        };
        book.diagnoses.1 <= DIAGNOSES_PER_SECOND
    }

    /// The last refused requests, the newest first.
    pub(super) fn refused(&self) -> Vec<RefusedRequest> {
        self.book().refused.iter().rev().cloned().collect()
    }

    /// Workspace, answer and how often.
    pub(super) fn answers(&self) -> Vec<(String, &'static str, u64)> {
        let book = self.book();
        let rows = book.answers.iter().flat_map(|(workspace, answers)| {
            (answers.iter()).map(|(answer, count)| (workspace.clone(), *answer, *count))
        });
        rows.collect()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
