//! Addresses that hold for a while, without a key: as those of an object store.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha1::Sha1;
use uuid::Uuid;

/// So many addresses that were ended early are kept in mind; then it begins anew.
const ENDED_LIMIT: usize = 10_000;

/// Makes such addresses, and knows them again.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    /// `http://127.0.0.1:1234`
    base: String,
    key: Uuid,
    lifetime: Duration,
    /// Makes each address another one, also of the same file in the same second.
    next: Arc<AtomicU64>,
    /// The signatures of those that hold no longer, before their time.
    ended: HashSet<String>,
}

impl Signer {
    pub(super) fn new(base: String, lifetime: Duration) -> Self {
        Self {
            base,
            key: Uuid::new_v4(),
            lifetime,
            next: Arc::new(AtomicU64::new(1)),
            ended: HashSet::new(),
        }
    }

    /// What every address begins with.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The address of a path of ours that begins with a slash.
    pub(super) fn address(&self, path: &str, now: Timestamp) -> String {
        let expires = (now + self.lifetime).as_second();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let signature = self.signature(path, expires, number);
        format!(
            "{}{path}?expires={expires}&number={number}&signature={signature}",
            self.base
        )
    }

    /// Ends an address before its time; others of the same file hold.
    pub(super) fn end(&mut self, query: &str) {
        if self.ended.len() == ENDED_LIMIT {
            self.ended.clear();
        }
        let signature = value(query, "signature").map(str::to_owned);
        self.ended.extend(signature);
    }

    /// Whether this query makes an address of the path, and still holds.
    pub(super) fn allows(&self, path: &str, query: &str, now: Timestamp) -> bool {
        let expires = value(query, "expires").and_then(|expires| expires.parse().ok());
        let number = value(query, "number").and_then(|number| number.parse().ok());
        let (Some(expires), Some(number)) = (expires, number) else {
            return false;
        };
        let signature = self.signature(path, expires, number);
        now.as_second() < expires
            && value(query, "signature") == Some(&signature)
            && !self.ended.contains(&signature)
    }

    fn signature(&self, path: &str, expires: i64, number: u64) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(self.key.as_bytes())
            .expect("a key of any length will do for HMAC");
        mac.update(format!("{path}\n{expires}\n{number}").as_bytes());
        let bytes = mac.finalize().into_bytes();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(other, _)| *other == name)
        .map(|(_, value)| value)
}
