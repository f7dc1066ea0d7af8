//! The tokens of the mirror, made from one key and the launch id: nothing of them is stored, and each dies with its attempt.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::{config::Secret, job::LaunchId, job_dir::files};

/// A key of ours has as many characters.
const KEY_LENGTH: usize = 64;

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Claim,
    Attempt,
}

/// Makes and knows the tokens of every launch.
#[derive(Debug, Clone)]
pub struct MirrorKey {
    key: Secret,
}

impl MirrorKey {
    /// The key's file in `state_dir`.
    pub const FILE: &str = "mirror.key";

    /// Reads the key of `state_dir`, or makes it: 244 random bits that only our user can read.
    ///
    /// # Errors
    /// When the file cannot be read or written, or holds something else.
    pub fn load(state_dir: &Path) -> io::Result<Self> {
        let key = match Self::stored(state_dir)? {
            Some(key) => key,
            None => {
                let key = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
                let key = Secret::new(key);
                Self::store(state_dir, &key)?;
                key
            }
        };
        Ok(Self { key })
    }

    /// The key of `state_dir`, for a copy of it; none if it has none.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else.
    pub fn stored(state_dir: &Path) -> io::Result<Option<Secret>> {
        let mut text = String::new();
        match File::open(state_dir.join(Self::FILE)) {
            Ok(file) => file.take(1024).read_to_string(&mut text).map(drop)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        // A key that differs from the one that live attempts know would shut them all out.
        match text.trim() {
            key if key.len() == KEY_LENGTH => Ok(Some(Secret::new(key))),
            _ => Err(io::Error::other(format!(
                "{} holds no key: put it back from a copy, or remove it if no job runs on another machine",
                Self::FILE
            ))),
        }
    }

    /// Makes `key` the key of `state_dir`. It appears whole or not at all: a half one would be another.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn store(state_dir: &Path, key: &Secret) -> io::Result<()> {
        let path = state_dir.join(Self::FILE);
        let draft = path.with_extension(format!("key.{}", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(key.expose().as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        files::sync_dir(state_dir)
    }

    /// What travels with a launch, where engines may show it: good for the claim alone.
    #[must_use]
    pub fn claim_token(&self, launch_id: LaunchId) -> Secret {
        self.token(Purpose::Claim, launch_id)
    }

    /// What the winner of the claim is given.
    #[must_use]
    pub fn attempt_token(&self, launch_id: LaunchId) -> Secret {
        self.token(Purpose::Attempt, launch_id)
    }

    /// Whether `token` may claim the launch. In constant time.
    #[must_use]
    pub fn may_claim(&self, launch_id: LaunchId, token: &str) -> bool {
        same(&self.claim_token(launch_id), token)
    }

    /// Whether `token` is that of the launch's claimant. In constant time.
    #[must_use]
    pub fn is_claimant(&self, launch_id: LaunchId, token: &str) -> bool {
        same(&self.attempt_token(launch_id), token)
    }

    fn token(&self, purpose: Purpose, launch_id: LaunchId) -> Secret {
        let mac = Hmac::<Sha256>::new_from_slice(self.key.expose().as_bytes())
            .expect("HMAC takes keys of any length");
        let mac = match purpose {
            Purpose::Claim => mac.chain_update(b"claim "),
            Purpose::Attempt => mac,
        };
        let digest = mac.chain_update(launch_id.to_string()).finalize();
        Secret::new(hex(&digest.into_bytes()))
    }
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

fn same(expected: &Secret, given: &str) -> bool {
    bool::from(expected.expose().as_bytes().ct_eq(given.as_bytes()))
}
