//! The data in and out of Labelbox: what a run holds is laid ready before its training, what was predicted goes
//! back after it.
//!
//! One step a job: `accepted` asks about the run and lays out the job directory; `exporting` fetches the run's data;
//! `uploading` has predictions imported.

mod accepted;
mod export;
pub mod files;
mod steps;
mod upload;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::task::JoinSet;

use files::{Cache, FilesContext};

use crate::{
    backoff::rest_after,
    config::{Config, Current},
    disk::Room,
    downloads::{DownloadError, Downloads, Limits, Reach},
    job::{Job, JobId, JobState},
    labelbox::Labelbox,
    meters::ExportMeters,
    store::{Store, StoreError},
};

/// Jobs that get a step at once; a silent Labelbox holds up no more than these, each for a call's time limit.
const AT_ONCE: usize = 64;

/// Jobs that are looked at in one turn.
const LOOKED_AT: u32 = 128;

/// The loop looks at least this often, whatever the clocks and notifications do.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// What every step needs to know of the server.
#[derive(Debug, Clone)]
pub struct Context {
    /// The store.
    pub store: Store,
    /// Where job directories lie.
    pub jobs_dir: PathBuf,
    /// The clients by the names of their workspaces.
    pub labelboxes: Current<BTreeMap<String, Labelbox>>,
    /// The settings in force.
    pub config: Current<Config>,
    /// How much room the disks have.
    pub room: Current<Room>,
    /// By executor, how many of its jobs may export, or wait with their data for a slot.
    pub export_places: BTreeMap<String, u32>,
    /// How exports fare.
    pub exports: Arc<ExportMeters>,
    /// Where files of the data come from.
    pub media: MediaSources,
}

/// Where files of the data come from.
#[derive(Debug, Clone)]
pub struct MediaSources {
    /// Which addresses may be called.
    pub reach: Current<Reach>,
    /// The proxy that is called instead, if one is named.
    pub proxy: Option<String>,
    /// What earlier jobs have fetched.
    pub cache: Cache,
}

/// Makes accepted jobs ready, and brings home what they leave.
#[derive(Debug)]
pub struct Transfer {
    context: Context,
    in_flight: Mutex<HashSet<JobId>>,
    failures: Mutex<HashMap<JobId, u32>>,
    /// Since when this process has known of each export under way.
    exporting_since: Mutex<HashMap<JobId, Instant>>,
    uploads: upload::Uploads,
    files: OnceLock<FilesContext>,
}

/// Marks a job as being at its step, also if that panics, and no longer.
struct UnderWay {
    transfer: Arc<Transfer>,
    job: JobId,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&self.transfer.in_flight).remove(&self.job);
    }
}

impl Transfer {
    /// Nothing happens before it runs.
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self {
            context,
            in_flight: Mutex::default(),
            failures: Mutex::default(),
            exporting_since: Mutex::default(),
            uploads: upload::Uploads::default(),
            files: OnceLock::new(),
        }
    }

    /// Runs until the returned future is dropped.
    pub async fn run(self) {
        let this = Arc::new(self);
        let mut changes = this.context.store.changes();
        let mut going = Going::default();
        loop {
            // Interest is registered before the store is asked, so no change falls between the two.
            changes.mark_unchanged();
            going.forget_ended();
            let begun = Instant::now();
            if let Err(error) = this.start_due(&mut going).await {
                tracing::warn!("cannot look for jobs whose data is to be moved: {error}");
                tokio::time::sleep(LONGEST_SLEEP).await;
            }
            tokio::time::sleep(rest_after(begun.elapsed())).await;
            tokio::select! {
                _ = changes.changed(), if going.steps.len() < AT_ONCE => {}
                _ = going.steps.join_next(), if going.steps.len() >= AT_ONCE => {}
                Some(_) = going.exports.join_next() => {}
                Some(_) = going.uploads.join_next() => {}
                () = tokio::time::sleep(LONGEST_SLEEP) => {}
            }
        }
    }

    async fn start_due(self: &Arc<Self>, going: &mut Going) -> Result<(), StoreError> {
        // A job directory that cannot be written would be a failure; waiting for room is none.
        if self.context.room.get().shortage().is_some() {
            return Ok(());
        }
        let now = Timestamp::now();
        let store = &self.context.store;
        for (executor, places) in &self.context.export_places {
            store.begin_exports(executor.clone(), *places, now).await?;
        }
        let due = store.due_transfers(now, LOOKED_AT).await?;
        for job in due {
            let (set, most) = match job.state {
                JobState::Exporting => (&mut going.exports, export::AT_ONCE),
                _ => (&mut going.uploads, upload::AT_ONCE),
            };
            if set.len() < most {
                self.start(set, job);
            }
        }
        if going.steps.len() < AT_ONCE {
            for job in store.due_accepted(now, LOOKED_AT).await? {
                if going.steps.len() < AT_ONCE {
                    self.start(&mut going.steps, job);
                }
            }
        }
        Ok(())
    }

    /// Has a job take its step, unless it is at it already.
    fn start(self: &Arc<Self>, steps: &mut JoinSet<()>, job: Job) {
        if !lock(&self.in_flight).insert(job.id) {
            return;
        }
        let under_way = UnderWay {
            transfer: Arc::clone(self),
            job: job.id,
        };
        steps.spawn(async move {
            let id = job.id;
            match under_way.transfer.step(job).await {
                Ok(()) => {}
                Err(StoreError::Stale) => {
                    tracing::debug!(job_id = %id, "the job changed meanwhile");
                }
                Err(error) => {
                    tracing::warn!(job_id = %id, "cannot go on with the job: {error}");
                }
            }
        });
    }

    /// One step of a job: to its next state, to its end, or to another try later.
    async fn step(&self, job: Job) -> Result<(), StoreError> {
        // The list that named the job may be older than the end of its last step.
        let fresh = self.context.store.job(job.id).await?;
        let as_listed =
            |fresh: &Job| (fresh.version, fresh.next_check_at) == (job.version, job.next_check_at);
        match fresh.filter(as_listed) {
            Some(job) if job.state == JobState::Accepted => accepted::step(self, job).await,
            Some(job) if job.state == JobState::Exporting => export::step(self, job).await,
            Some(job) if job.state == JobState::Uploading => upload::step(self, job).await,
            _ => Ok(()),
        }
    }

    /// Made when it is first needed, and again if that failed.
    fn files(&self) -> Result<FilesContext, DownloadError> {
        if let Some(files) = self.files.get() {
            return Ok(files.clone());
        }
        let MediaSources {
            reach,
            proxy,
            cache,
        } = self.context.media.clone();
        let downloads = Downloads::reaching(reach, Limits::default(), proxy.as_deref())?;
        let files = FilesContext::new(downloads, cache);
        Ok(self.files.get_or_init(|| files).clone())
    }
}

/// The steps under way, each kind with places of its own: none keeps another from moving.
#[derive(Debug, Default)]
struct Going {
    steps: JoinSet<()>,
    exports: JoinSet<()>,
    uploads: JoinSet<()>,
}

impl Going {
    fn forget_ended(&mut self) {
        for set in [&mut self.steps, &mut self.exports, &mut self.uploads] {
            while set.try_join_next().is_some() {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
