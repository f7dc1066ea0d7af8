//! Secrets: kept elsewhere, named by reference, never printed.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

/// The longest secret read from a file, in bytes.
const SECRET_LIMIT: u64 = 64 * 1024;

/// A secret's value. Prints as `[redacted]`; only [`Secret::expose`] shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a value that must not be seen.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Where a secret is kept: `{ env = "NAME" }` or `{ file = "PATH" }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretRef {
    /// A variable of our own environment.
    Env(String),
    /// A file; white space at its end is not part of the secret.
    File(PathBuf),
}

/// A secret that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not there.
    #[error("environment variable {0} is not set: export it before the server starts")]
    EnvUnset(String),
    /// The file cannot be read.
    #[error("cannot read secret file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is nothing in it.
    #[error("{0} is empty")]
    Empty(String),
}

impl SecretRef {
    /// Reads the secret now; a rotated file is seen at the next read.
    ///
    /// # Errors
    /// When the variable is unset, the file unreadable, or either is empty.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let value = match self {
            Self::Env(name) => {
                std::env::var(name).map_err(|_| SecretError::EnvUnset(name.clone()))?
            }
            Self::File(path) => read_bounded(path).map_err(|source| SecretError::File {
                path: path.clone(),
                source,
            })?,
        };
        match value.trim_end() {
            "" => Err(SecretError::Empty(self.to_string())),
            value => Ok(Secret::new(value)),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

fn read_bounded(path: &std::path::Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(SECRET_LIMIT)
        .read_to_string(&mut text)?;
    Ok(text)
}
