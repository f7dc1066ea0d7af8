//! The outbox, delivered: reports of one run leave in order, waiting progress is merged, finals always
//! go out. A report is delivered, retried with back-off, or parked; never dropped, unless Labelbox
//! confirms that the run does not exist. Training never waits for a report.

mod delivery;
mod read_back;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::{
    backoff::rest_after,
    config::{Config, Current},
    job::{JobId, ModelRunId},
    labelbox::Labelbox,
    store::{Store, StoreError},
};

/// Deliveries under way at once.
const AT_ONCE: usize = 64;

/// The loop looks at least this often: at the API keys, whose files may have been replaced, and at the
/// clock, which may have been set back.
const LONGEST_SLEEP: Duration = Duration::from_secs(2);

/// Delivers what the store owes to Labelbox.
#[derive(Debug)]
pub struct Reporter {
    store: Store,
    labelboxes: Current<BTreeMap<String, Labelbox>>,
    config: Current<Config>,
    in_flight: Mutex<HashSet<(String, ModelRunId)>>,
    keys: Mutex<BTreeMap<String, Option<u64>>>,
}

/// A run whose work is under way; no longer once this is dropped, also by a panic.
struct UnderWay {
    reporter: Arc<Reporter>,
    key: (String, ModelRunId),
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.reporter.in_flight().remove(&self.key);
    }
}

impl Reporter {
    /// Takes the clients by the names of their workspaces.
    #[must_use]
    pub fn new(
        store: Store,
        labelboxes: Current<BTreeMap<String, Labelbox>>,
        config: Current<Config>,
    ) -> Self {
        let (in_flight, keys) = (Mutex::default(), Mutex::default());
        Self {
            store,
            labelboxes,
            config,
            in_flight,
            keys,
        }
    }

    /// Runs until the returned future is dropped.
    pub async fn run(self) {
        let this = Arc::new(self);
        let mut changes = this.store.changes();
        let mut deliveries = JoinSet::new();
        let mut keys_read: Option<Instant> = None;
        loop {
            // Interest is registered before the store is asked, so no change falls between the two.
            changes.mark_unchanged();
            while deliveries.try_join_next().is_some() {}
            if keys_read.is_none_or(|at| at.elapsed() >= LONGEST_SLEEP) {
                keys_read = Some(Instant::now());
                if let Err(error) = this.notice_new_keys().await {
                    tracing::warn!("cannot unpark a workspace: {error}");
                }
            }
            let begun = Instant::now();
            let sleep = match this.turn(&mut deliveries).await {
                Ok(sleep) => sleep,
                Err(error) => {
                    tracing::warn!("cannot read the outbox: {error}");
                    Duration::from_secs(1)
                }
            };
            tokio::time::sleep(rest_after(begun.elapsed())).await;
            tokio::select! {
                _ = changes.changed(), if deliveries.len() < AT_ONCE => {}
                _ = deliveries.join_next(), if !deliveries.is_empty() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// Starts a delivery for each run that may be tried now; answers how long nothing needs to be done.
    async fn turn(self: &Arc<Self>, deliveries: &mut JoinSet<()>) -> Result<Duration, StoreError> {
        if deliveries.len() >= AT_ONCE {
            return Ok(LONGEST_SLEEP);
        }
        let now = Timestamp::now();
        let mut tried_parked = HashSet::new();
        for run in self.store.owed_runs(now, 256).await? {
            // One run is enough to find out whether a refused key is good again.
            if run.workspace_parked && !tried_parked.insert(run.workspace.clone()) {
                continue;
            }
            let key = (run.workspace.clone(), run.model_run_id.clone());
            self.start(deliveries, key, |this| async move {
                this.deliver_next(&run).await
            });
        }
        for read in self.store.read_backs(now).await? {
            let key = (read.workspace.clone(), read.model_run_id.clone());
            self.start(deliveries, key, |this| async move {
                this.read_back(&read).await
            });
        }
        // What is due and under way wakes the loop by its commit.
        if !deliveries.is_empty() {
            return Ok(LONGEST_SLEEP);
        }
        let next = self.store.next_report_at().await?;
        let sleep = next
            .map(|at| Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default());
        Ok(sleep
            .unwrap_or(LONGEST_SLEEP)
            .clamp(Duration::from_millis(10), LONGEST_SLEEP))
    }

    /// Starts one piece of work for a run, unless one is under way already.
    fn start<F, W>(
        self: &Arc<Self>,
        deliveries: &mut JoinSet<()>,
        key: (String, ModelRunId),
        work: F,
    ) where
        F: FnOnce(Arc<Self>) -> W,
        W: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        if deliveries.len() >= AT_ONCE || !self.in_flight().insert(key.clone()) {
            return;
        }
        let work = work(Arc::clone(self));
        let under_way = UnderWay {
            reporter: Arc::clone(self),
            key,
        };
        deliveries.spawn(async move {
            if let Err(error) = work.await {
                let (workspace, run) = &under_way.key;
                tracing::warn!(workspace, model_run_id = %run, "cannot record a delivery: {error}");
            }
        });
    }

    fn in_flight(&self) -> std::sync::MutexGuard<'_, HashSet<(String, ModelRunId)>> {
        self.in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys as they were last looked at, or refused.
    fn keys(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Option<u64>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A key file that changed makes its workspace's reports due at once.
    async fn notice_new_keys(&self) -> Result<(), StoreError> {
        for (workspace, labelbox) in self.labelboxes.get().iter() {
            let now = fingerprint(labelbox).await;
            let before = self.keys().insert(workspace.clone(), now);
            if before.is_some_and(|before| before != now) {
                tracing::info!(
                    workspace,
                    "the API key has changed: its reports are tried again now"
                );
                self.store.unpark_workspace(workspace.clone()).await?;
            }
        }
        Ok(())
    }

    /// The link to a job, if people can see it somewhere.
    fn link(&self, job: JobId) -> Option<String> {
        let config = self.config.get();
        let url = config.server.dashboard_url.as_ref();
        url.map(|url| format!("{}/jobs/{job}", url.trim_end_matches('/')))
    }
}

/// A number that changes when the workspace's key does; none while the key cannot be read.
async fn fingerprint(labelbox: &Labelbox) -> Option<u64> {
    let labelbox = labelbox.clone();
    let read = tokio::task::spawn_blocking(move || labelbox.key_fingerprint());
    read.await.ok().flatten()
}
