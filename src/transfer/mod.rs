//! The data in and out of Labelbox. What is accepted is made ready here: Labelbox is asked whether the
//! run exists and belongs to the model that was named, and the job directory is laid out on disk.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::{
    backoff::{Backoff, rest_after},
    config::Current,
    disk::Room,
    job::{Cause, Change, Job, JobId},
    job_dir::{JobDir, JobRecord},
    labelbox::Labelbox,
    store::{Store, StoreError},
};

/// Jobs made ready at once; a silent Labelbox holds up no more than these, each for a call's time limit.
const AT_ONCE: usize = 64;

/// Between questions that Labelbox did not answer: 2 s, 4 s, 8 s, … 2 min.
const QUESTION_BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(2),
    most: Duration::from_secs(120),
};

/// The loop looks at least this often, whatever the clocks and notifications do.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Makes accepted jobs ready.
#[derive(Debug)]
pub struct Transfer {
    store: Store,
    jobs_dir: PathBuf,
    labelboxes: Current<BTreeMap<String, Labelbox>>,
    room: Current<Room>,
    in_flight: Mutex<HashSet<JobId>>,
    failures: Mutex<HashMap<JobId, u32>>,
}

/// What Labelbox says of a job's run.
enum Answer {
    Fine,
    /// The run cannot be trained; a sentence for people.
    No(String),
    /// Ask again; a sentence for people, and the least wait where Labelbox named one.
    Later(String, Option<Duration>),
}

impl Transfer {
    /// Takes the clients by the names of their workspaces.
    #[must_use]
    pub fn new(
        store: Store,
        jobs_dir: PathBuf,
        labelboxes: Current<BTreeMap<String, Labelbox>>,
        room: Current<Room>,
    ) -> Self {
        Self {
            store,
            jobs_dir,
            labelboxes,
            room,
            in_flight: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// Runs until the returned future is dropped.
    pub async fn run(self) {
        let this = Arc::new(self);
        let mut changes = this.store.changes();
        let mut steps = JoinSet::new();
        loop {
            // Interest is registered before the store is asked, so no change falls between the two.
            changes.mark_unchanged();
            while steps.try_join_next().is_some() {}
            let begun = Instant::now();
            if let Err(error) = this.start_due(&mut steps).await {
                tracing::warn!("cannot look for accepted jobs: {error}");
                tokio::time::sleep(LONGEST_SLEEP).await;
            }
            tokio::time::sleep(rest_after(begun.elapsed())).await;
            tokio::select! {
                _ = changes.changed(), if steps.len() < AT_ONCE => {}
                _ = steps.join_next(), if steps.len() >= AT_ONCE => {}
                () = tokio::time::sleep(LONGEST_SLEEP) => {}
            }
        }
    }

    async fn start_due(self: &Arc<Self>, steps: &mut JoinSet<()>) -> Result<(), StoreError> {
        let free = AT_ONCE.saturating_sub(steps.len());
        // A job directory that cannot be written would be a failure; waiting for room is none.
        if free == 0 || self.room.get().shortage().is_some() {
            return Ok(());
        }
        let most = u32::try_from(2 * AT_ONCE).unwrap_or(128);
        let due = self.store.due_accepted(Timestamp::now(), most).await?;
        for job in due {
            if steps.len() >= AT_ONCE || !lock(&self.in_flight).insert(job.id) {
                continue;
            }
            let this = Arc::clone(self);
            steps.spawn(async move {
                let id = job.id;
                match this.make_ready(job).await {
                    Ok(()) => {}
                    Err(StoreError::Stale) => {
                        tracing::debug!(job_id = %id, "the job changed meanwhile");
                    }
                    Err(error) => {
                        tracing::warn!(job_id = %id, "cannot make the job ready: {error}");
                    }
                }
                lock(&this.in_flight).remove(&id);
            });
        }
        Ok(())
    }

    /// One step of an accepted job: to `queued`, to its end, or to another question later.
    async fn make_ready(&self, job: Job) -> Result<(), StoreError> {
        // The list that named the job may be older than the end of its last step.
        let fresh = self.store.job(job.id).await?;
        let as_listed =
            |fresh: &Job| (fresh.version, fresh.next_check_at) == (job.version, job.next_check_at);
        let Some(job) = fresh.filter(as_listed) else {
            return Ok(());
        };
        let now = Timestamp::now();
        let change = match self.ask_labelbox(&job).await {
            Answer::Later(reason, least) => return self.wait(job, reason, least).await,
            Answer::No(message) => Change::Fail {
                cause: Cause::Preflight,
                message,
            },
            Answer::Fine => match self.lay_out(&job).await? {
                Ok(()) => Change::Queue,
                Err(error) => {
                    let message = format!("cannot write the job directory: {error}");
                    Change::Fail {
                        cause: Cause::Infra,
                        message,
                    }
                }
            },
        };
        lock(&self.failures).remove(&job.id);
        let job = self.store.change(&job, vec![change], now).await?;
        let (state, message) = (job.state, job.message.as_deref().unwrap_or_default());
        tracing::info!(job_id = %job.id, model_run_id = %job.model_run_id, "{state} {message}");
        Ok(())
    }

    async fn ask_labelbox(&self, job: &Job) -> Answer {
        let run = &job.model_run_id;
        let labelboxes = self.labelboxes.get();
        let Some(labelbox) = labelboxes.get(&job.workspace) else {
            let reason = format!("workspace {} is not configured", job.workspace);
            return Answer::Later(reason, None);
        };
        match labelbox.model_run(run).await {
            Err(error) => Answer::Later(
                format!("Labelbox cannot be asked about the run: {error}"),
                error.retry_after,
            ),
            Ok(None) => Answer::No(format!(
                "model run {run} does not exist in Labelbox, or the API key of workspace {} cannot see it",
                job.workspace
            )),
            Ok(Some(found)) => match (&job.model_id, &found.model_id) {
                (Some(asked), Some(owner)) if asked != owner => Answer::No(format!(
                    "model run {run} belongs to model {owner}, not to {asked}"
                )),
                _ => Answer::Fine,
            },
        }
    }

    /// Puts the job directory on disk, with the body as Labelbox sent it.
    async fn lay_out(&self, job: &Job) -> Result<std::io::Result<()>, StoreError> {
        let webhook = self.store.webhook(job.id).await?;
        let dir = JobDir::new(&self.jobs_dir, job.id);
        let record = JobRecord::of(job, self.store.server_id());
        let create = move || {
            dir.create(&webhook)
                .and_then(|()| dir.write_record(&record))
        };
        let created = tokio::task::spawn_blocking(create).await;
        Ok(created.unwrap_or_else(|error| Err(std::io::Error::other(error))))
    }

    async fn wait(
        &self,
        job: Job,
        reason: String,
        least: Option<Duration>,
    ) -> Result<(), StoreError> {
        let failures = {
            let mut failures = lock(&self.failures);
            let count = failures.entry(job.id).or_default();
            *count += 1;
            *count
        };
        let now = Timestamp::now();
        tracing::warn!(job_id = %job.id, model_run_id = %job.model_run_id, failures, "not ready: {reason}");
        let reason = Some(reason);
        let job = match job.waiting == reason {
            true => job,
            false => {
                self.store
                    .change(&job, vec![Change::Wait(reason)], now)
                    .await?
            }
        };
        let delay = QUESTION_BACKOFF
            .delay(failures)
            .max(least.unwrap_or_default());
        self.store.check_again(&[job], now + delay).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
