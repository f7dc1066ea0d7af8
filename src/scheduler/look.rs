//! A look at the folder of a job's current attempt.

use std::io;

use super::engine_loop::EngineLoop;
use crate::{
    job::Job,
    job_dir::{AttemptDir, Claim, EventBatch, ExitRecord, JobDir},
};

/// What a look at the attempt's folder found.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) claim: Option<Claim>,
    pub(super) exit: Option<ExitRecord>,
    pub(super) heartbeat: Option<u64>,
    pub(super) events: EventBatch,
}

impl EngineLoop {
    /// The folder of the job's current attempt.
    pub(super) fn attempt_dir(&self, job: &Job) -> AttemptDir {
        JobDir::new(&self.context.jobs_dir, job.id).attempt(job.attempt)
    }

    pub(super) async fn look(&self, job: &Job) -> io::Result<Look> {
        let (dir, offset) = (self.attempt_dir(job), job.events_offset);
        let looked = tokio::task::spawn_blocking(move || {
            Ok(Look {
                claim: dir.read_claim()?,
                exit: dir.read_exit()?,
                heartbeat: dir.read_heartbeat()?,
                // What a command tells is its own affair: it must not hide how the attempt stands.
                events: dir.read_events(offset).unwrap_or(EventBatch {
                    offset,
                    ..EventBatch::default()
                }),
            })
        });
        looked.await.map_err(io::Error::other)?
    }
}
