//! The names of things: jobs, launches, model runs.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The name of a job: a UUID v7, so names sort by the time of acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Uuid);

impl JobId {
    /// A fresh name for a job accepted at `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
        Self(Uuid::new_v7(uuid::Timestamp::from_unix(
            uuid::NoContext,
            seconds,
            nanoseconds,
        )))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for JobId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Uuid::parse_str(text)
            .map(Self)
            .map_err(|_| InvalidId("a job id looks like 019a0000-0000-7000-8000-000000000000"))
    }
}

/// The name of one attempt on every engine: `th-<job, no dashes>-a<n>`.
///
/// It is valid as a Kubernetes name, a Slurm job name, a Ray submission id, a container name and an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaunchId {
    /// The job.
    pub job: JobId,
    /// The number of the attempt; the first is 1.
    pub attempt: u32,
}

impl fmt::Display for LaunchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "th-{}-a{}", self.job.0.simple(), self.attempt)
    }
}

impl FromStr for LaunchId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let parse = || {
            let (job, attempt) = text.strip_prefix("th-")?.split_once("-a")?;
            let job = Uuid::try_parse(job).ok().filter(|_| job.len() == 32)?;
            let attempt = attempt.parse().ok().filter(|n| *n > 0)?;
            Some(Self {
                job: JobId(job),
                attempt,
            })
        };
        parse().ok_or(InvalidId(
            "a launch id looks like th-<32 hex digits>-a<attempt>",
        ))
    }
}

impl Serialize for LaunchId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LaunchId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// What Labelbox calls the import of a chunk of predictions: `th-<job, no dashes>-u<upload>-c<chunk>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImportName {
    /// The job whose predictions they are.
    pub job: JobId,
    /// The number of its upload; the first is 1.
    pub upload: u32,
    /// The number of the chunk; the first is 1.
    pub chunk: u32,
}

impl fmt::Display for ImportName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let job = self.job.0.simple();
        write!(f, "th-{job}-u{}-c{}", self.upload, self.chunk)
    }
}

/// Labelbox's name of a model run: any printable text of 1 to 200 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelRunId(String);

impl ModelRunId {
    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelRunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ModelRunId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let fits = (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        fits.then(|| Self(text.to_owned()))
            .ok_or(InvalidId("a model run id is 1 to 200 printable characters"))
    }
}

/// A text that is not the name it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidId(&'static str);
