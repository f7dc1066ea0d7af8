//! The first start after a backup was put back: the job directories know what the store does not.

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    job::JobId,
    job_dir::{JobDir, JobRecord, LastAttempt},
    store::{Adoption, Filter, Store, StoreError},
};

/// Between two looks at jobs that wait for a live one of their run.
const LATER: Duration = Duration::from_secs(1);

/// Jobs of ours that have a folder and no row, and are still to be taken up.
#[derive(Debug)]
pub(super) struct Restoration {
    jobs_dir: PathBuf,
    strays: VecDeque<JobRecord>,
}

impl Restoration {
    /// Lets go of old reports, brings live jobs to where they have got, and takes up those that the backup does not
    /// know; nothing for a store that was not restored. No click is answered and no job is touched before.
    pub(super) async fn begin(store: &Store, jobs_dir: &Path) -> Result<Option<Self>, StoreError> {
        let Some(backup_of) = store.restored_from() else {
            return Ok(None);
        };
        let folder = jobs_dir.display();
        tracing::warn!(
            %backup_of, jobs_dir = %folder,
            "the store was restored from a backup of {backup_of:.0}: what has happened since is looked for in {folder}"
        );
        store.forget_old_reports(Timestamp::now()).await?;
        catch_up(store, jobs_dir).await?;
        let strays = find_strays(store, jobs_dir).await?;
        let mut this = Self {
            jobs_dir: jobs_dir.to_owned(),
            strays: strays.into(),
        };
        // What cannot be taken up now is tried again while the server runs.
        if let Err(error) = this.adopt(store).await {
            tracing::warn!("cannot take up jobs after the restore: {error}");
        }
        Ok(Some(this))
    }

    /// Takes up what had to wait, and ends the restoration when nothing is left.
    pub(super) async fn finish(mut self, store: Store) {
        loop {
            let adopted = match self.adopt(&store).await {
                Ok(()) if self.strays.is_empty() => store.end_restoration().await,
                other => other,
            };
            match adopted {
                Ok(()) if self.strays.is_empty() => return,
                Ok(()) => {}
                Err(error) => tracing::warn!("cannot take up jobs after the restore: {error}"),
            }
            tokio::time::sleep(LATER).await;
        }
    }

    /// One try for each, in the order of acceptance.
    async fn adopt(&mut self, store: &Store) -> Result<(), StoreError> {
        for _ in 0..self.strays.len() {
            let Some(record) = self.strays.pop_front() else {
                break;
            };
            let adoption = self.adopt_one(store, &record).await;
            let job_id = record.id;
            match adoption.as_ref() {
                Ok(Adoption::Adopted) => {
                    tracing::warn!(%job_id, "taken up: the backup does not know it");
                }
                Ok(Adoption::Superseded) => {
                    tracing::warn!(%job_id, "left as it is: its run was trained again since");
                }
                Ok(Adoption::Known) => {}
                Ok(Adoption::Later) | Err(_) => self.strays.push_back(record),
            }
            adoption?;
        }
        Ok(())
    }

    async fn adopt_one(&self, store: &Store, record: &JobRecord) -> Result<Adoption, StoreError> {
        let dir = JobDir::new(&self.jobs_dir, record.id);
        let read = blocking(move || Ok((dir.read_webhook()?, last_attempt(&dir)?)));
        let (webhook, last) = read.await?;
        let webhook = webhook.unwrap_or_default();
        store
            .adopt(record.clone(), webhook, last, Timestamp::now())
            .await
    }
}

async fn catch_up(store: &Store, jobs_dir: &Path) -> Result<(), StoreError> {
    let live = Filter {
        live: true,
        limit: u32::MAX,
        ..Filter::default()
    };
    for job in store.jobs(live).await? {
        let dir = JobDir::new(jobs_dir, job.id);
        match blocking(move || last_attempt(&dir)).await {
            Ok(Some(last)) => store.catch_up(job.id, last, Timestamp::now()).await?,
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(job_id = %job.id, "cannot read how far the job has got: {error}");
            }
        }
    }
    Ok(())
}

fn last_attempt(dir: &JobDir) -> io::Result<Option<LastAttempt>> {
    match dir.last_attempt() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other,
    }
}

/// Folders of jobs that this store has accepted and does not know, the oldest first; those of other stores are only
/// told.
async fn find_strays(store: &Store, jobs_dir: &Path) -> Result<Vec<JobRecord>, StoreError> {
    let folder = jobs_dir.to_owned();
    let mut unknown = store
        .unknown_jobs(blocking(move || list(&folder)).await?)
        .await?;
    unknown.sort_unstable();
    let mut strays = Vec::new();
    for id in unknown {
        let dir = JobDir::new(jobs_dir, id);
        match blocking(move || dir.read_record()).await {
            Ok(Some(record)) if record.server_id == store.server_id() && record.id == id => {
                strays.push(record);
            }
            Ok(_) => tracing::warn!(job_id = %id, "its folder is not of this store: left as it is"),
            Err(error) => tracing::warn!(job_id = %id, "its folder cannot be read: {error}"),
        }
    }
    Ok(strays)
}

/// The jobs that have folders.
fn list(jobs_dir: &Path) -> io::Result<Vec<JobId>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(jobs_dir)? {
        let name = entry?.file_name();
        ids.extend(name.to_str().and_then(|name| name.parse::<JobId>().ok()));
    }
    Ok(ids)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.unwrap_or_else(|error| Err(io::Error::other(error)));
    done.map_err(|error| StoreError::Unavailable(format!("cannot read jobs_dir: {error}")))
}
