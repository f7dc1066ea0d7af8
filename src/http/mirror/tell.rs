//! What a supervisor tells while its command runs: that it lives, events, the log; and at last how it ended.

use std::{fs::File, io, time::Duration};

use bytes::Bytes;
use warp::reply::Response;

use super::{
    Attempt, Service,
    guard::{Validity, blocking, number, parse, validity},
    ok,
};
use crate::{
    http::error::ApiError,
    job::LaunchId,
    job_dir::{Appended, AttemptDir, Claimant, ExitRecord, files},
    mirror::{Heartbeat, Standing},
};

/// A supervisor whose record was taken needs this long to end: an engine that is asked before would have it to end.
const ENDING: Duration = Duration::from_millis(300);

/// Bytes of an exit record: well below what is believed when the kept one is read back.
const EXIT_LIMIT: usize = 256 * 1024;

impl Service {
    pub(super) async fn take_heartbeat(
        &self,
        attempt: Attempt,
        body: &Bytes,
    ) -> Result<Response, ApiError> {
        let Heartbeat { count } = parse(body)?;
        let taken = blocking(move || {
            attempt.dir.write_heartbeat(count)?;
            standing(&attempt.dir, count)
        });
        Ok(ok(&taken.await?))
    }

    pub(super) async fn take_events(
        &self,
        attempt: Attempt,
        query: &str,
        body: Bytes,
    ) -> Result<Response, ApiError> {
        let (offset, limit) = (number(query, "offset")?, self.mirror.max_events);
        let desk = self.desks.of(attempt.launch_id).await;
        let taken = blocking(move || {
            let _alone = desk;
            match attempt.dir.append_events(offset, &body, limit)? {
                Appended::UpTo(have) => Ok(Some(standing(&attempt.dir, have)?)),
                Appended::TooLong => Ok(None),
            }
        });
        match taken.await? {
            Some(standing) => Ok(ok(&standing)),
            None => Err(ApiError::OverQuota(format!(
                "more events than max_events allows ({limit} bytes)"
            ))),
        }
    }

    pub(super) async fn take_log(
        &self,
        attempt: Attempt,
        query: &str,
        body: Bytes,
    ) -> Result<Response, ApiError> {
        let (offset, limit) = (number(query, "offset")?, attempt.job.entry.log_limit);
        let desk = self.desks.of(attempt.launch_id).await;
        let taken = blocking(move || {
            let _alone = desk;
            let have = attempt.dir.append_log(offset, &body, limit)?;
            standing(&attempt.dir, have)
        });
        Ok(ok(&taken.await?))
    }

    /// Takes the record of the end. Its identical repeat is taken even when the attempt does not count any longer; a
    /// first one that comes after its job was given up is kept for people to see.
    pub(super) async fn take_exit(
        &self,
        launch_id: LaunchId,
        body: &Bytes,
    ) -> Result<Response, ApiError> {
        if body.len() > EXIT_LIMIT {
            return Err(ApiError::OverQuota(format!(
                "an exit record has at most {EXIT_LIMIT} bytes"
            )));
        }
        let record: ExitRecord = parse(body)?;
        if record.launch_id != launch_id {
            return Err(ApiError::Invalid("the record of another launch".to_owned()));
        }
        let job = self.job(launch_id).await?;
        let stands = validity(&job, launch_id);
        let is_current = launch_id.attempt == job.attempt;
        let attempt = self.attempt_of(job, launch_id);
        let desk = self.desks.of(launch_id).await;
        let dir = attempt.dir.clone();
        let drafts = super::outputs::drafts(&attempt);
        let kept = blocking(move || {
            let _alone = desk;
            let kept = keep(&dir, &record, is_current && stands != Validity::Ahead)?;
            // Most often there are none.
            let _ = std::fs::remove_dir_all(drafts);
            Ok(kept)
        });
        match kept.await? {
            Kept::New => {
                self.desks.forget(launch_id);
                self.ring(&attempt.job, ENDING);
                Ok(ok(&Standing::default()))
            }
            Kept::Same => Ok(ok(&Standing::default())),
            Kept::Not if stands == Validity::Ahead => Err(ApiError::NoSuch("attempt")),
            Kept::Not if is_current => Err(ApiError::Claimed),
            Kept::Not => Err(ApiError::Revoked(launch_id)),
        }
    }
}

/// What became of a record.
enum Kept {
    New,
    Same,
    Not,
}

/// Only the claimant's record is kept, only one, and only where the attempt may still write.
fn keep(dir: &AttemptDir, record: &ExitRecord, may_write: bool) -> io::Result<Kept> {
    if let Some(there) = dir.read_exit()? {
        return Ok(match there == *record {
            true => Kept::Same,
            false => Kept::Not,
        });
    }
    let claim = dir.read_claim()?;
    let is_claimants = claim.is_some_and(|claim| {
        matches!(claim.by, Claimant::Supervisor { instance } if instance == record.instance)
    });
    if !may_write || !is_claimants {
        return Ok(Kept::Not);
    }
    make_durable(dir)?;
    let text = serde_json::to_vec_pretty(record).map_err(io::Error::other)?;
    files::write_atomic(&dir.exit(), &text)?;
    Ok(Kept::New)
}

/// The record says that everything before it is there; after a power cut it must be.
fn make_durable(dir: &AttemptDir) -> io::Result<()> {
    for name in ["events.ndjson", "log/output.log"] {
        if let Some(file) = files::open_untrusted(dir.path(), name)? {
            file.sync_all()?;
        }
    }
    File::open(dir.log_dir())?.sync_all()
}

/// The answer to whatever is told: how far we are, and whether somebody wishes the command to stop.
pub(super) fn standing(dir: &AttemptDir, have: u64) -> io::Result<Standing> {
    let cancel = dir.read_cancel()?;
    Ok(Standing { cancel, have })
}
