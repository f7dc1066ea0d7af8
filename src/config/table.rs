//! A table of the file with its positions, handed to executors that read their own settings.

/// One mistake of `models.toml`: where, which key, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {key}: {text}")]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The key with its tables: `models.digits.command`.
    pub key: String,
    /// What is wrong and what to do, in lower case.
    pub text: String,
}

/// A table of `models.toml` that remembers where each key stands.
#[derive(Debug, Clone, Default)]
pub struct Table {}
