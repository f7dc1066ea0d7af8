//! Labelbox's signature: `X-Hub-Signature: sha1=<hex of HMAC-SHA1(secret, raw body)>`.
//!
//! Source of the algorithm: Labelbox/model-training, coordinator.py. A GET is signed over the empty body.

mod diagnosis;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::config::Secret;

/// The header that carries the signature; header names have no case.
pub const SIGNATURE_HEADER: &str = "x-hub-signature";

/// The secrets of one workspace. Several may be valid at once: rotation without downtime.
#[derive(Debug, Clone)]
pub struct WebhookSecrets {
    secrets: Vec<Secret>,
}

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
        Self { secrets }
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
