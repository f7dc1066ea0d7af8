//! From what a command predicted to what Labelbox has imported: checked and frozen first, then chunk after chunk.
//!
//! Every chunk is written ahead, so that a restart finds the import that was begun instead of beginning another one.

mod begin;
mod failure;
mod follow;
mod freeze;
mod memory;
mod outcome;
mod reasons;
mod results;
mod send;
mod stoppable;

use std::{io, time::Duration};

use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::{Transfer, steps::Later};
use crate::{
    job::{Change, ImportName, ImportState, Job, JobState},
    job_dir::JobDir,
    predictions::{By, Chunk, Frozen, RejectedFile},
    store::{ImportRow, StoreError},
};
pub(super) use begin::begin;
use failure::Failure;
use memory::Memory;

/// Jobs that get a step at once.
pub(super) const AT_ONCE: usize = 64;

/// Chunks on their way at once.
const POSTS_AT_ONCE: usize = 4;

/// Files of predictions that are checked at once; each takes a core, and memory for all rows of its run.
const FREEZES_AT_ONCE: usize = 1;

/// After this, whoever finds no place looks again.
const BUSY_WAIT: Duration = Duration::from_millis(500);

/// The same of a job that asks Labelbox about its run whenever it looks.
const ASKING_WAIT: Duration = Duration::from_secs(10);

/// What uploads share.
#[derive(Debug)]
pub(super) struct Uploads {
    posts: Semaphore,
    freezes: Semaphore,
    memory: Memory,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            posts: Semaphore::new(POSTS_AT_ONCE),
            freezes: Semaphore::new(FREEZES_AT_ONCE),
            memory: Memory::default(),
        }
    }
}

/// How an upload goes on.
enum Next {
    /// At once.
    Now,
    /// Once there is a place for it.
    Busy,
    /// After a while.
    In(Duration),
    /// It is over.
    Over(Vec<Change>),
}

/// A job's upload.
struct Upload<'a> {
    transfer: &'a Transfer,
    job: &'a Job,
    dir: JobDir,
}

/// Takes an upload as far as it goes without waiting.
pub(super) async fn step(transfer: &Transfer, mut job: Job) -> Result<(), StoreError> {
    let store = &transfer.context.store;
    loop {
        let upload = Upload {
            transfer,
            job: &job,
            dir: JobDir::new(&transfer.context.jobs_dir, job.id),
        };
        let next = match upload.next().await {
            Ok(next) => next,
            Err(Failure::Store(error)) => return Err(error),
            Err(Failure::Later(later)) => return transfer.try_again(job, later).await,
            Err(Failure::Final(message)) => Next::Over(vec![failure::change(message)]),
        };
        let delay = match next {
            Next::Over(mut changes) => {
                if !matches!(changes.last(), Some(Change::Succeed)) {
                    let counted = upload.tell_so_far().await;
                    changes.splice(0..0, counted);
                }
                return end(transfer, &job, changes).await;
            }
            Next::Busy => return wait_for_place(transfer, job, BUSY_WAIT).await,
            Next::In(delay) => Some(delay),
            Next::Now => None,
        };
        job = match moved_on(transfer, job).await? {
            Some(job) => job,
            None => return Ok(()),
        };
        if let Some(delay) = delay {
            let at = Timestamp::now() + delay;
            return store.check_again(&[job], at).await;
        }
    }
}

/// Looks again soon; people see why nothing moves.
async fn wait_for_place(transfer: &Transfer, job: Job, wait: Duration) -> Result<(), StoreError> {
    let (store, now) = (&transfer.context.store, Timestamp::now());
    let reason = Some("predictions are checked one job after the other".to_owned());
    let job = match job.waiting == reason {
        true => job,
        false => store.change(&job, vec![Change::Wait(reason)], now).await?,
    };
    store.check_again(&[job], now + wait).await
}

/// The job as it stands now, after something has worked; none if it does not upload any more.
async fn moved_on(transfer: &Transfer, job: Job) -> Result<Option<Job>, StoreError> {
    transfer.clear_failures(&job);
    let store = &transfer.context.store;
    let job = store.job(job.id).await?;
    let Some(job) = job.filter(|job| job.state == JobState::Uploading) else {
        return Ok(None);
    };
    match job.waiting {
        None => Ok(Some(job)),
        Some(_) => {
            let moves_again = vec![Change::Wait(None)];
            let job = store.change(&job, moves_again, Timestamp::now()).await?;
            Ok(Some(job))
        }
    }
}

async fn end(transfer: &Transfer, job: &Job, changes: Vec<Change>) -> Result<(), StoreError> {
    let job = transfer.conclude(job, changes).await?;
    transfer.uploads.memory.forget(job.id);
    if job.state == JobState::Succeeded {
        // What failed may be sent once more; what has arrived takes room for nothing.
        let folder = Frozen::folder(&JobDir::new(&transfer.context.jobs_dir, job.id).server());
        let removed = on_disk(move || std::fs::remove_dir_all(folder)).await;
        if let Err(failure) = removed {
            tracing::debug!(job_id = %job.id, "frozen predictions stay: {failure}");
        }
    }
    Ok(())
}

impl Upload<'_> {
    async fn next(&self) -> Result<Next, Failure> {
        let server = self.dir.server();
        let frozen = on_disk(move || Frozen::open(&server)).await;
        let rows = self.transfer.context.store.imports(self.job).await?;
        let known = frozen.as_ref().ok().and_then(Option::as_ref);
        // A folder that cannot be read keeps no upload from being stopped, or from ending in time.
        if let Some(stop) = &self.job.stop {
            tracing::info!(job_id = %self.job.id, "the upload is stopped: {}", stop.describe());
            return Ok(Next::Over(outcome::cut_short(known, &rows)));
        }
        if !known.is_some_and(|frozen| is_finished(frozen, &rows)) {
            self.check_time(known, &rows)?;
        }
        let Some(frozen) = frozen? else {
            return self.freeze().await;
        };
        if rows.len() < frozen.chunks.len() {
            self.add_rows(&frozen, &rows).await?;
            return Ok(Next::Now);
        }
        match rows.iter().find(|row| row.state != ImportState::Finished) {
            Some(row) => self.advance(&frozen, row).await,
            None => {
                // Before a job counts as over, so that a crash between the two loses nothing.
                self.list_refused(&frozen, &rows).await?;
                outcome::judge(self.job, &frozen, &rows).map(Next::Over)
            }
        }
    }

    /// Measured on our own clock: a restart of the server begins anew, and no clock that is set ends anything.
    fn check_time(&self, frozen: Option<&Frozen>, rows: &[ImportRow]) -> Result<(), Failure> {
        let age = self.transfer.uploads.memory.age(self.job.id);
        match self.job.entry.upload_timeout() {
            Some(timeout) if age > timeout => {
                Err(Failure::Final(outcome::too_slow(timeout, frozen, rows)))
            }
            _ => Ok(()),
        }
    }

    /// The rows of chunks that were frozen and not noted. One that bears another job's name was sent by that one,
    /// perhaps.
    async fn add_rows(&self, frozen: &Frozen, known: &[ImportRow]) -> Result<(), Failure> {
        let is_new = |number: u32| known.iter().all(|row| row.chunk != number);
        let chunks = frozen.chunks.iter().filter(|chunk| is_new(chunk.number));
        let now = Timestamp::now();
        let row = |chunk: &Chunk| ImportRow {
            chunk: chunk.number,
            name: chunk
                .name
                .clone()
                .unwrap_or_else(|| self.name(chunk.number)),
            lines: chunk.lines,
            state: match chunk.name {
                Some(_) => ImportState::Posting,
                None => ImportState::Frozen,
            },
            posted_at: chunk.name.as_ref().map(|_| now),
            refused: None,
            note: None,
        };
        let store = &self.transfer.context.store;
        store
            .save_imports(self.job, chunks.map(row).collect())
            .await?;
        Ok(())
    }

    /// Also of an upload that did not come to its end people read what was refused, and Labelbox how much arrived.
    async fn tell_so_far(&self) -> Option<Change> {
        let told = async {
            let server = self.dir.server();
            let Some(frozen) = on_disk(move || Frozen::open(&server)).await? else {
                return Ok(None);
            };
            let rows = self.transfer.context.store.imports(self.job).await?;
            self.list_refused(&frozen, &rows).await?;
            Ok(Some(outcome::counted(self.job, &frozen, &rows)))
        };
        told.await.unwrap_or_else(|failure: Failure| {
            tracing::warn!(job_id = %self.job.id, "what Labelbox refused is not listed: {failure}");
            None
        })
    }

    /// What Labelbox did not take joins what was not sent, in the one list that people read.
    async fn list_refused(&self, frozen: &Frozen, rows: &[ImportRow]) -> Result<(), Failure> {
        if rows.iter().all(|row| row.refused.unwrap_or_default() == 0) {
            return Ok(());
        }
        let (server, chunks) = (self.dir.server(), frozen.chunks.clone());
        on_disk(move || {
            let mut list = RejectedFile::create(&server)?;
            list.take_over(&server, |problem| problem.by == By::Trainhook)?;
            for chunk in chunks {
                let refused = chunk.refused(&server)?.unwrap_or_default();
                refused.iter().try_for_each(|problem| list.add(problem))?;
            }
            list.finish()
        })
        .await
    }

    fn name(&self, chunk: u32) -> String {
        let name = ImportName {
            job: self.job.id,
            upload: 1,
            chunk,
        };
        name.to_string()
    }
}

/// Whether all that was frozen is imported: only the verdict is missing.
fn is_finished(frozen: &Frozen, rows: &[ImportRow]) -> bool {
    let is_finished = |row: &ImportRow| row.state == ImportState::Finished;
    rows.len() >= frozen.chunks.len() && rows.iter().all(is_finished)
}

/// Does what may block. What fails now may work later, but what was changed on disk will not change back.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.unwrap_or_else(|error| Err(io::Error::other(error)));
    done.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Failure::Final(format!(
            "trained, but what was frozen of its predictions cannot be used: {error}"
        )),
        _ => Failure::later(format!("the job directory: {error}")),
    })
}
