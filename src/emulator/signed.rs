//! Addresses that hold for a while, without a key: as those of an object store.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha1::Sha1;
use uuid::Uuid;

/// Makes such addresses, and knows them again.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    /// `http://127.0.0.1:1234`
    base: String,
    key: Uuid,
    lifetime: Duration,
}

impl Signer {
    pub(super) fn new(base: String, lifetime: Duration) -> Self {
        Self {
            base,
            key: Uuid::new_v4(),
            lifetime,
        }
    }

    /// What every address begins with.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The address of a path of ours that begins with a slash.
    pub(super) fn address(&self, path: &str, now: Timestamp) -> String {
        let expires = (now + self.lifetime).as_second();
        let signature = self.signature(path, expires);
        format!(
            "{}{path}?expires={expires}&signature={signature}",
            self.base
        )
    }

    /// Whether this query makes an address of the path, and still holds.
    pub(super) fn allows(&self, path: &str, query: &str, now: Timestamp) -> bool {
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(other, _)| *other == name)
                .map(|(_, value)| value)
        };
        let expires = value("expires").and_then(|expires| expires.parse().ok());
        expires.is_some_and(|expires| {
            now.as_second() < expires && value("signature") == Some(&self.signature(path, expires))
        })
    }

    fn signature(&self, path: &str, expires: i64) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(self.key.as_bytes())
            .expect("a key of any length will do for HMAC");
        mac.update(format!("{path}\n{expires}").as_bytes());
        let bytes = mac.finalize().into_bytes();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
