//! Labelbox's signature: `X-Hub-Signature: sha1=<hex of HMAC-SHA1(secret, raw body)>`.
//!
//! Source of the algorithm: Labelbox/model-training, coordinator.py. A GET is signed over the empty body.

mod diagnosis;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::Relaxed},
};

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha1::Sha1;

use crate::config::Secret;

/// The header that carries the signature; header names have no case.
pub const SIGNATURE_HEADER: &str = "x-hub-signature";

/// The secrets of one workspace. Several may be valid at once: rotation without downtime.
#[derive(Debug, Clone)]
pub struct WebhookSecrets {
    secrets: Vec<Secret>,
    /// When each last signed, in milliseconds since 1970.
    uses: Vec<Arc<AtomicI64>>,
}

/// Of a secret that has signed nothing.
const NEVER: i64 = i64::MIN;

/// Why a signature is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header is not there.
    #[error("the X-Hub-Signature header is missing")]
    Missing,
    /// The header is not `sha1=` and 40 hex digits.
    #[error("the X-Hub-Signature header is not sha1= followed by 40 hex digits")]
    Malformed,
    /// No secret of ours makes this signature for this body.
    #[error(
        "the signature does not match the body: the secret in Labelbox differs from ours, or the body was changed on its way"
    )]
    Mismatch,
}

impl WebhookSecrets {
    /// Takes the secrets, the current one first.
    #[must_use]
    pub fn new(secrets: Vec<Secret>) -> Self {
        let never = |_| Arc::new(AtomicI64::new(NEVER));
        let uses = secrets.iter().map(never).collect();
        Self { secrets, uses }
    }

    /// The same secrets; those that are also among `earlier` go on from when they last signed there, wherever they
    /// stood in the list.
    #[must_use]
    pub fn remembering(mut self, earlier: &Self) -> Self {
        for (secret, uses) in self.secrets.iter().zip(&mut self.uses) {
            let before = earlier.secrets.iter().position(|other| other == secret);
            if let Some(before) = before.and_then(|index| earlier.uses.get(index)) {
                *uses = Arc::clone(before);
            }
        }
        self
    }

    /// Notes that the secret of that number signed a request.
    pub fn note_use(&self, index: usize, now: Timestamp) {
        if let Some(uses) = self.uses.get(index) {
            uses.store(now.as_millisecond(), Relaxed);
        }
    }

    /// When each last signed since the start, in their order: which one can be dropped.
    #[must_use]
    pub fn last_uses(&self) -> Vec<Option<Timestamp>> {
        let at = |uses: &Arc<AtomicI64>| match uses.load(Relaxed) {
            NEVER => None,
            at => Timestamp::from_millisecond(at).ok(),
        };
        self.uses.iter().map(at).collect()
    }

    /// The secrets themselves, the current one first.
    pub fn all(&self) -> impl Iterator<Item = &Secret> {
        self.secrets.iter()
    }

    /// Checks `header` against the raw body in constant time; answers which secret made it, from 0.
    ///
    /// # Errors
    /// When the header is missing, malformed, or made by none of the secrets.
    pub fn verify(&self, header: Option<&str>, body: &[u8]) -> Result<usize, SignatureError> {
        let claimed =
            parse(header.ok_or(SignatureError::Missing)?).ok_or(SignatureError::Malformed)?;
        let made_it = |secret: &Secret| mac(secret, body).verify_slice(&claimed).is_ok();
        self.secrets
            .iter()
            .position(made_it)
            .ok_or(SignatureError::Mismatch)
    }
}

/// The header's value for `body`, as Labelbox makes it.
#[must_use]
pub fn sign(secret: &Secret, body: &[u8]) -> String {
    let digest = mac(secret, body).finalize().into_bytes();
    digest.iter().fold("sha1=".to_owned(), |text, byte| {
        text + &format!("{byte:02x}")
    })
}

fn mac(secret: &Secret, body: &[u8]) -> Hmac<Sha1> {
    let mac = Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes());
    mac.expect("HMAC takes keys of any length")
        .chain_update(body)
}

/// The 20 bytes behind `sha1=` and 40 lower-case hex digits, which is the one form Labelbox sends.
fn parse(header: &str) -> Option<[u8; 20]> {
    let hex = header.strip_prefix("sha1=")?.as_bytes();
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 20];
    if hex.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}
