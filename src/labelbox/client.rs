//! A client of one workspace's Labelbox: what it may use, and what is counted of it.

use std::{sync::Arc, time::Duration};

use sha2::{Digest, Sha256};

use super::{budget::Budget, connection::Connection};
use crate::{
    config::SecretRef,
    meters::{Counters, Durations},
    recording::Recorder,
};

/// Calls a minute where nobody says how many.
const REQUESTS_PER_MINUTE: u32 = 1200;

/// A client of one workspace's Labelbox. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Labelbox {
    pub(super) connection: Arc<Connection>,
    pub(super) meters: Arc<LabelboxMeters>,
    pub(super) recorder: Option<Recorder>,
    pub(super) budget: Arc<Budget>,
    pub(super) in_bulk: bool,
}

/// What has become of the calls to one workspace's Labelbox.
#[derive(Debug, Default)]
pub struct LabelboxMeters {
    /// The call, by its field in the answer, and its outcome: `ok`, or the error's kind.
    pub calls: Counters<(&'static str, &'static str)>,
    /// How long calls took that were answered in any way.
    pub durations: Durations,
}

impl Labelbox {
    /// A client for `endpoint`, such as `https://api.labelbox.com/graphql`. One call may take `timeout`.
    ///
    /// The key is read at each call, so that a new one is seen without a restart; calls of bulk read it once a second.
    #[must_use]
    pub fn new(endpoint: &str, api_key: SecretRef, timeout: Duration) -> Self {
        Self {
            connection: Arc::new(Connection::new(endpoint, api_key, timeout)),
            meters: Arc::default(),
            recorder: None,
            budget: Arc::new(Budget::new(REQUESTS_PER_MINUTE)),
            in_bulk: false,
        }
    }

    /// The same client with so many calls a minute. What `earlier`, a client of the same workspace, has used of them
    /// is used.
    #[must_use]
    pub fn limited_to(self, requests_per_minute: u32, earlier: Option<&Self>) -> Self {
        let shared = earlier
            .map(|earlier| &earlier.budget)
            .filter(|budget| budget.per_minute() == requests_per_minute);
        let budget = match shared {
            Some(budget) => Arc::clone(budget),
            None => Arc::new(Budget::new(requests_per_minute)),
        };
        Self { budget, ..self }
    }

    /// The same client for calls that are many and may wait: they leave a reserve to the others, and keep still for
    /// as long as Labelbox wants fewer calls of this workspace.
    #[must_use]
    pub fn in_bulk(&self) -> Self {
        Self {
            in_bulk: true,
            ..self.clone()
        }
    }

    /// The same client; its exchanges are kept, without the key.
    #[must_use]
    pub fn recorded_by(self, recorder: Recorder) -> Self {
        let recorder = Some(recorder);
        Self { recorder, ..self }
    }

    /// The same client; what becomes of its calls is counted on top of what became of those of `earlier`.
    #[must_use]
    pub fn counting_on_from(self, earlier: &Self) -> Self {
        let meters = Arc::clone(&earlier.meters);
        Self { meters, ..self }
    }

    /// What has become of its calls.
    #[must_use]
    pub fn meters(&self) -> &LabelboxMeters {
        &self.meters
    }

    /// Where its API is: the address's host is Labelbox's own.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.connection.graphql
    }

    /// Where its key is kept.
    #[must_use]
    pub fn api_key(&self) -> &SecretRef {
        &self.connection.api_key
    }

    /// A number that changes when the key does; none while the key cannot be read.
    ///
    /// It reads a file, so it may block. It is not for printing.
    #[must_use]
    pub fn key_fingerprint(&self) -> Option<u64> {
        let key = self.connection.api_key.read().ok()?;
        let digest = Sha256::digest(key.expose().as_bytes());
        digest.first_chunk().map(|first| u64::from_be_bytes(*first))
    }
}
