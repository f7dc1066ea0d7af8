//! Removes what `[retention]` does not want kept: parts of the folders of jobs that ended long enough ago.

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::{
    config::{Config, Current, format_size},
    job_dir::JobDir,
    store::{Prunable, Store, StoreError},
};

/// Jobs of which the store is asked at once.
const BATCH: u32 = 100;

/// After a start others come first.
const FIRST_LOOK: Duration = Duration::from_secs(60);

/// Removes old parts of job directories.
#[derive(Debug)]
pub struct Retention {
    store: Store,
    jobs_dir: PathBuf,
    config: Current<Config>,
    wake: Arc<Notify>,
}

impl Retention {
    /// Whoever rings `wake` has it look at once.
    #[must_use]
    pub fn new(
        store: Store,
        jobs_dir: PathBuf,
        config: Current<Config>,
        wake: Arc<Notify>,
    ) -> Self {
        Self {
            store,
            jobs_dir,
            config,
            wake,
        }
    }

    /// Runs until the returned future is dropped.
    pub async fn run(self) {
        let mut rest = FIRST_LOOK.min(self.config.get().retention.every);
        loop {
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(rest) => {}
            }
            match self.sweep().await {
                Ok(0) => {}
                Ok(freed_bytes) => {
                    let freed = format_size(freed_bytes);
                    tracing::info!(freed_bytes, "old job directories: {freed} freed");
                }
                Err(error) => tracing::warn!("old job directories cannot be looked for: {error}"),
            }
            rest = self.config.get().retention.every;
        }
    }

    /// Removes everything that is due; answers how many bytes that freed.
    async fn sweep(&self) -> Result<u64, StoreError> {
        let retention = self.config.get().retention.clone();
        let mut freed = 0;
        loop {
            let batch = self
                .store
                .prunable(&retention, Timestamp::now(), BATCH)
                .await?;
            let mut removed = 0;
            for prunable in batch {
                if let Some(bytes) = self.remove(prunable).await? {
                    freed += bytes;
                    removed += 1;
                }
            }
            // What cannot be removed now is tried again at the next look.
            if removed == 0 {
                return Ok(freed);
            }
        }
    }

    /// Files first, the note after: a crash between the two costs a second try.
    async fn remove(&self, prunable: Prunable) -> Result<Option<u64>, StoreError> {
        let dir = JobDir::new(&self.jobs_dir, prunable.job);
        let parts = prunable.parts.clone();
        let removed = tokio::task::spawn_blocking(move || dir.remove(&parts)).await;
        let removed = removed.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        match removed {
            Ok(bytes) => {
                tracing::debug!(job_id = %prunable.job, bytes, "pruned");
                self.store.mark_pruned(prunable, Timestamp::now()).await?;
                Ok(Some(bytes))
            }
            Err(error) => {
                tracing::warn!(job_id = %prunable.job, "cannot remove old files: {error}");
                Ok(None)
            }
        }
    }
}
