//! Who may ask, and of what: the token says which launch, the attempt's row whether it counts.

use std::io;

use warp::http::{HeaderMap, header::AUTHORIZATION};

use super::{Attempt, Service};
use crate::{
    http::error::ApiError,
    job::{Job, JobState, LaunchId},
    job_dir::JobDir,
    mirror::{MirrorKey, stays_inside},
};

/// Whoever sent a request.
pub(super) struct Asker<'a> {
    launch_id: LaunchId,
    token: &'a str,
}

/// How an attempt stands by its job's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validity {
    /// It is the one that counts.
    Counts,
    /// It does not count any longer, whatever it does.
    Over,
    /// It is ahead of its row: the store was put back to an earlier day, and has yet to learn of it.
    Ahead,
}

impl<'a> Asker<'a> {
    pub(super) fn of(launch_id: LaunchId, headers: &'a HeaderMap) -> Self {
        let value = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.strip_prefix("Bearer "));
        Self {
            launch_id,
            token: token.unwrap_or_default().trim(),
        }
    }

    pub(super) fn check(&self, key: &MirrorKey) -> Result<(), ApiError> {
        match key.is_claimant(self.launch_id, self.token) {
            true => Ok(()),
            false => Err(ApiError::WrongToken),
        }
    }

    /// A launch's own token claims, and the attempt's token does so again.
    pub(super) fn check_claim(&self, key: &MirrorKey) -> Result<(), ApiError> {
        match key.may_claim(self.launch_id, self.token) {
            true => Ok(()),
            false => self.check(key),
        }
    }
}

impl Service {
    /// The attempt, if it counts.
    pub(super) async fn attempt(&self, launch_id: LaunchId) -> Result<Attempt, ApiError> {
        let job = self.job(launch_id).await?;
        match validity(&job, launch_id) {
            Validity::Counts => Ok(self.attempt_of(job, launch_id)),
            Validity::Over => Err(ApiError::Revoked(launch_id)),
            Validity::Ahead => Err(ApiError::NoSuch("attempt")),
        }
    }

    pub(super) async fn job(&self, launch_id: LaunchId) -> Result<Job, ApiError> {
        let job = self.mirror.store.job(launch_id.job).await?;
        job.ok_or(ApiError::NoSuch("job"))
    }

    pub(super) fn attempt_of(&self, job: Job, launch_id: LaunchId) -> Attempt {
        let job_dir = JobDir::new(&self.mirror.jobs_dir, job.id);
        Attempt {
            dir: job_dir.attempt(launch_id.attempt),
            job_dir,
            job,
            launch_id,
        }
    }
}

pub(super) fn validity(job: &Job, launch_id: LaunchId) -> Validity {
    if launch_id.attempt < job.attempt {
        return Validity::Over;
    }
    match job.state {
        _ if launch_id.attempt > job.attempt && !job.state.is_terminal() => Validity::Ahead,
        state if state.holds_slot() => Validity::Counts,
        JobState::Accepted | JobState::Exporting | JobState::Queued => Validity::Ahead,
        _ => Validity::Over,
    }
}

/// A path as it was before it became part of an address; refused if it leads anywhere else than below where it begins.
pub(super) fn decode(path: &str) -> Result<String, ApiError> {
    let plain = percent_decoded(path).filter(|path| stays_inside(path));
    plain.ok_or_else(|| ApiError::Invalid("that is no path below the job directory".to_owned()))
}

fn percent_decoded(text: &str) -> Option<String> {
    let (mut bytes, mut plain) = (text.bytes(), Vec::new());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            plain.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let value = digit()? * 16 + digit()?;
        plain.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(plain).ok()
}

/// The number that the query gives `name`.
pub(super) fn number(query: &str, name: &str) -> Result<u64, ApiError> {
    let value = word(query, name).and_then(|value| value.parse().ok());
    value.ok_or_else(|| ApiError::Invalid(format!("the query must hold {name}=<a number>")))
}

/// The text that the query gives `name`.
pub(super) fn word<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(key, value)| (key == name).then_some(value))
}

/// Runs what blocks; the guard of whoever must not come in between is the closure's to keep.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.unwrap_or_else(|error| Err(io::Error::other(error)));
    done.map_err(|error| {
        tracing::warn!("the job directory did not serve a supervisor: {error}");
        ApiError::Unavailable {
            retry_after: std::time::Duration::from_secs(5),
        }
    })
}

/// A body that must be JSON of a certain shape.
pub(super) fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::Invalid(format!("the body: {error}")))
}
