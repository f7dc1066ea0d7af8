//! The files of a run's rows: `row_data`, attachments and label masks, fetched into `data/files/`.
//!
//! [`fetch`] is called when the split files are written and before the manifest is: it fetches whatever the lines name
//! by address, notes each outcome in `server/files.ndjson` in the order of the rows, and then writes the split files
//! anew, each line with its `local_path` (relative to the data folder) in `data_row`, in each attachment and in each
//! label's `mask`. A file that could not be had has none, and is listed in `data/missing_files.ndjson`. Text that stands in a line itself stays there alone: a file
//! for each would be a million small ones.
//!
//! Interrupted anywhere, by a drop of the future or of the power, the same call goes on: what the journal says is kept
//! as long as the file has the size that it tells, and rewriting a line twice changes nothing. Memory does not grow
//! with the number of rows, but after another export has given fresh addresses (`earlier`).

mod cache;
mod draft;
mod earlier;
mod expiry;
mod fetching;
mod hosts;
mod journal;
mod line;
mod missing;
mod names;
mod one;
mod refused;
mod report;
mod rewrite;
mod room;
mod scan;
mod tries;

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::{
    config::{Export, SecretRef},
    dataset::{DataFile, Split},
    downloads::Downloads,
    job_dir::files::sync_dir,
};
use earlier::Earlier;
use fetching::Fetching;
use hosts::Hosts;
use journal::Journal;
use missing::MissingList;

pub use cache::Cache;
pub use hosts::Patience;
pub use report::FilesReport;
pub use rewrite::Rewritten;

/// Files of all jobs that come in at once.
const AT_ONCE_IN_ALL: usize = 64;

/// Where drafts lie, below the job's folder for the server's own things.
const DRAFTS: &str = "files";

/// What the files of all jobs share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FilesContext {
    downloads: Downloads,
    cache: Cache,
    at_once: Arc<Semaphore>,
    hosts: Arc<Hosts>,
}

/// Whose files are wanted, and where they go.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// The job's data folder, with the split files in it.
    pub data_dir: &'a Path,
    /// The job's folder for what is the server's own.
    pub server_dir: &'a Path,
    /// What the model wants of them.
    pub export: &'a Export,
    /// Names the export whose rows these are: of what was noted of another one, only files that came count.
    pub export_id: &'a str,
    /// When Labelbox made the addresses.
    pub exported_at: Timestamp,
    /// Whether Labelbox can be asked for fresh addresses if some hold no longer.
    pub renewable: bool,
    /// The workspace's Labelbox: masks lie there.
    pub endpoint: &'a str,
    /// Its key, for masks alone.
    pub api_key: &'a SecretRef,
    /// Not so many bytes of the disk are taken that less than this is free.
    pub min_free: u64,
}

/// How far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files in their places.
    pub here: u64,
    /// How much that is, in bytes.
    pub bytes: u64,
    /// Files that could not be had.
    pub missing: u64,
    /// What is waited for meanwhile: a host, and what is wrong with it.
    pub trouble: Option<String>,
}

/// Why the files are not all there.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// More are missing than the model allows: a sentence for people. The job fails.
    #[error("{0}")]
    Missing(String),
    /// Addresses hold no longer, and fresh ones can be had.
    #[error("addresses of the data's files hold no longer")]
    Expired,
    /// A split file is not what an export leaves.
    #[error("the export cannot be read: {0}")]
    Broken(String),
    /// Something is in the way that may pass: the same call goes on later.
    #[error("{reason}")]
    Later {
        /// A sentence for people.
        reason: String,
        /// The least wait, where somebody named one.
        least: Option<Duration>,
    },
    /// The job's folder cannot be read or written; the same call goes on later.
    #[error("cannot keep the data's files: {0}")]
    Io(#[from] io::Error),
}

impl FilesError {
    fn later(reason: String) -> Self {
        let least = None;
        Self::Later { reason, least }
    }
}

impl FilesContext {
    /// The client of all downloads.
    #[must_use]
    pub fn downloads(&self) -> &Downloads {
        &self.downloads
    }

    /// With these, of which a server has one each.
    #[must_use]
    pub fn new(downloads: Downloads, cache: Cache) -> Self {
        Self {
            downloads,
            cache,
            at_once: Arc::new(Semaphore::new(AT_ONCE_IN_ALL)),
            hosts: Arc::default(),
        }
    }

    /// The same, which waits for files like this.
    #[must_use]
    pub fn patient(self, patience: Patience) -> Self {
        let hosts = Arc::new(Hosts::of(patience));
        Self { hosts, ..self }
    }
}

/// Fetches what the split files name, and writes into them where it is. `progress` is called after each file and must
/// be quick. A drop of the future stops it; nothing is lost.
///
/// # Errors
/// When too much is missing, or something is in the way; see [`FilesError`].
pub async fn fetch(
    context: &FilesContext,
    plan: &Plan<'_>,
    progress: impl Fn(Progress) + Send + Sync,
) -> Result<FilesReport, FilesError> {
    let drafts = plan.server_dir.join(DRAFTS);
    let (journal, earlier) = prepare(plan, &drafts).await?;
    let fetching = Fetching::new(context, plan, drafts.clone(), Arc::clone(&journal));
    let mut report = fetching.all(earlier, &progress).await?;
    report.judge(plan.export.max_missing_files)?;
    let (data_dir, server_dir) = (plan.data_dir.to_owned(), plan.server_dir.to_owned());
    let written = blocking_files(move || {
        let written = write_places(&data_dir, &drafts, &journal)?;
        earlier::forget(&server_dir)?;
        Ok(written)
    });
    let (splits, missing) = written.await?;
    (report.splits, report.missing_list) = (splits, Some(missing));
    Ok(report)
}

/// Makes the folders; what an interrupted fetch has left is gone.
async fn prepare(plan: &Plan<'_>, drafts: &Path) -> Result<(Arc<Journal>, Earlier), FilesError> {
    let (server_dir, drafts) = (plan.server_dir.to_owned(), drafts.to_owned());
    let (files, export) = (plan.data_dir.join(names::FOLDER), plan.export_id.to_owned());
    let prepare = move || {
        fs::create_dir_all(&server_dir)?;
        let journal = Journal::open(&server_dir, &export)?;
        match fs::remove_dir_all(&drafts) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(&drafts)?;
        fs::create_dir_all(&files)?;
        Ok((Arc::new(journal), Earlier::read(&server_dir)?))
    };
    blocking(prepare).await
}

/// Makes the places of the files durable, then the lines that name them and the list of those that have none.
fn write_places(
    data_dir: &Path,
    drafts: &Path,
    journal: &Journal,
) -> Result<(Vec<Rewritten>, DataFile), FilesError> {
    sync_dir(&data_dir.join(names::FOLDER))?;
    let mut entries = journal.read()?;
    let mut missing = MissingList::begin(drafts)?;
    let rewritten = Split::ALL
        .into_iter()
        .map(|split| rewrite::rewrite(data_dir, drafts, split, &mut entries, &mut missing))
        .collect::<Result<_, _>>()?;
    let missing = missing.put_into(data_dir)?;
    fs::remove_dir_all(drafts)?;
    Ok((rewritten, missing))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, FilesError> {
    blocking_files(move || work().map_err(FilesError::from)).await
}

async fn blocking_files<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FilesError> + Send + 'static,
) -> Result<T, FilesError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error).into()))
}
