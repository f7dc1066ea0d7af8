//! What the command finds in its job directory: a list of files with their sums, made once for each attempt.

use std::{
    collections::HashSet,
    fs, io,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;
use warp::{http::HeaderMap, reply::Response};

use super::{Attempt, Service, bodies, guard::blocking};
use crate::{
    http::error::ApiError,
    job::LaunchId,
    job_dir::{FileRecord, JobDir, files, hash_file},
};

/// Lists made at once: each reads all of a job's data.
const AT_ONCE: usize = 2;

/// While a list is made, its supervisor is told to come again after this.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The lists that are being made.
#[derive(Debug)]
pub(super) struct Manifests {
    under_way: Arc<Mutex<HashSet<LaunchId>>>,
    places: Arc<Semaphore>,
}

impl Default for Manifests {
    fn default() -> Self {
        Self {
            under_way: Arc::default(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Service {
    pub(super) async fn give_manifest(
        &self,
        attempt: Attempt,
        headers: &HeaderMap,
    ) -> Result<Response, ApiError> {
        let name = format!("manifest-a{}.ndjson", attempt.launch_id.attempt);
        let file = attempt.job_dir.server().join(&name);
        if !blocking(move || file.try_exists()).await? {
            let made = self.manifests.begin(&attempt, &name);
            // A short list is there at once.
            if tokio::time::timeout(RETRY_AFTER, made).await.is_err() {
                return Err(ApiError::Unavailable {
                    retry_after: RETRY_AFTER,
                });
            }
        }
        bodies::give_from(&attempt.job_dir.server(), &name, headers).await
    }
}

impl Manifests {
    /// Begins the list unless somebody has; returns when this one is done, which is at once if somebody else makes it.
    async fn begin(&self, attempt: &Attempt, name: &str) {
        let launch_id = attempt.launch_id;
        if !lock(&self.under_way).insert(launch_id) {
            tokio::time::sleep(RETRY_AFTER).await;
            return;
        }
        let (under_way, places) = (Arc::clone(&self.under_way), Arc::clone(&self.places));
        let (job_dir, name) = (attempt.job_dir.clone(), name.to_owned());
        // It goes on when its first asker has gone.
        let made = tokio::spawn(async move {
            let _place = places.acquire_owned().await;
            let made = tokio::task::spawn_blocking(move || write(&job_dir, &name)).await;
            if let Err(error) = made.unwrap_or_else(|error| Err(io::Error::other(error))) {
                tracing::warn!(%launch_id, "the list of a job's files cannot be made: {error}");
            }
            lock(&under_way).remove(&launch_id);
        });
        // A panic was logged above as an error.
        let _ = made.await;
    }
}

fn lock(under_way: &Mutex<HashSet<LaunchId>>) -> MutexGuard<'_, HashSet<LaunchId>> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes the list; it appears whole or not at all.
fn write(job_dir: &JobDir, name: &str) -> io::Result<()> {
    let draft = job_dir.server().join(format!("{name}.draft"));
    let mut list = BufWriter::new(fs::File::create(&draft)?);
    let mut add = |record: &FileRecord| {
        serde_json::to_writer(&mut list, record)?;
        list.write_all(b"\n")
    };
    for record in job_dir.read_code()? {
        add(&FileRecord {
            path: format!("code/{}", record.path),
            ..record
        })?;
    }
    if let Some(record) = describe(job_dir, "webhook.json")? {
        add(&record)?;
    }
    let mut left = vec![PathBuf::from("data")];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(job_dir.path().join(&folder))? {
            let entry = entry?;
            let (path, kind) = (folder.join(entry.file_name()), entry.file_type()?);
            if kind.is_dir() {
                left.push(path);
            } else if let Some(path) = path.to_str().filter(|_| kind.is_file())
                && let Some(record) = describe(job_dir, path)?
            {
                add(&record)?;
            }
        }
    }
    list.into_inner()?.sync_all()?;
    fs::rename(&draft, job_dir.server().join(name))?;
    files::sync_dir(&job_dir.server())
}

fn describe(job_dir: &JobDir, path: &str) -> io::Result<Option<FileRecord>> {
    let Some(file) = files::open_untrusted(job_dir.path(), path)? else {
        return Ok(None);
    };
    let (size, sha256) = hash_file(&file)?;
    Ok(Some(FileRecord {
        path: path.to_owned(),
        size,
        sha256,
        executable: false,
    }))
}

/// Whether a path of the list's kind is one that may be given.
pub(super) fn is_given(path: &Path) -> bool {
    let mut parts = path.components();
    let first = parts.next().map(|part| part.as_os_str().to_owned());
    match first.as_deref().and_then(|name| name.to_str()) {
        Some("webhook.json") => parts.next().is_none(),
        Some("data" | "code") => parts.next().is_some(),
        _ => false,
    }
}
