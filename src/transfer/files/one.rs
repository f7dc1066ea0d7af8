//! One file: from the cache if it is unchanged, else from its address, in as many tries as that is worth.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncSeekExt, AsyncWriteExt},
};

use super::{
    FilesError, blocking,
    cache::{Entry, Key},
    expiry::is_over,
    fetching::Fetching,
    journal::Outcome,
    line::{Wanted, What},
};
use crate::{
    backoff::Backoff,
    config::Secret,
    downloads::{Author, Download, DownloadError, Known, Source, Version},
};

/// Between tries: 1 s, 2 s, 4 s, 8 s.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    most: Duration::from_secs(30),
};

/// A file that does not come after so many tries without any new byte is missing…
const TRIES: u32 = 5;

/// …and after so many altogether.
const TRIES_IN_ALL: u32 = 50;

/// An address that is refused so long after the export has probably expired.
const OLD: Duration = Duration::from_secs(15 * 60);

/// What has arrived so far of a file.
struct Draft {
    path: PathBuf,
    bytes: u64,
    /// Of which version it is; none if it cannot be taken up.
    version: Option<Version>,
}

/// What was tried so far.
#[derive(Default)]
struct Tries {
    all: u32,
    /// Since a new byte came.
    in_vain: u32,
}

/// How a try ended that did not fail.
enum Arrived {
    /// It is here; its version, if it may be kept for another time.
    Whole(Option<Version>),
    /// What the cache had was spoiled: the next try asks without it.
    CacheFailed,
}

/// Why a try failed.
enum Failure {
    Download(DownloadError),
    Files(FilesError),
}

/// Brings a file to its place.
pub(super) async fn fetch(fetching: &Fetching<'_>, wanted: &Wanted) -> Result<Outcome, FilesError> {
    let key = Key::of(wanted);
    let mut entry = find(fetching, &key).await?;
    let bearer = fetching.key_for(wanted).await?;
    let mut draft = Draft {
        path: fetching.draft_path(),
        bytes: 0,
        version: None,
    };
    let mut tries = Tries::default();
    loop {
        let before = draft.bytes;
        let tried = {
            let _turn = fetching.turn().await;
            let (bearer, entry) = (bearer.as_ref(), entry.as_ref());
            attempt(fetching, wanted, bearer, &key, entry, &mut draft).await
        };
        let error = match tried {
            Ok(Arrived::CacheFailed) => {
                entry = None;
                continue;
            }
            Ok(Arrived::Whole(version)) => {
                let kept = version.map(|version| (fetching.context.cache.clone(), key, version));
                return put_in_place(draft.path, fetching.place(wanted), kept).await;
            }
            Err(Failure::Files(error)) => return Err(error),
            Err(Failure::Download(error)) => error,
        };
        let is_refused = matches!(error, DownloadError::Refused(_));
        if let Some(reason) = tries.give_up(error, before, &mut draft) {
            // A draft that stays goes with the others at the end.
            let _ = tokio::fs::remove_file(&draft.path).await;
            if is_refused && fetching.can_be_renewed(wanted, &reason) {
                return Err(FilesError::Expired);
            }
            return Ok(Outcome::Missing(fetching.explain(reason)));
        }
        tokio::time::sleep(BACKOFF.delay_spread(tries.in_vain, fetching.spread())).await;
    }
}

impl Tries {
    /// Why no other try is made after this error; none if one is. `before` is how long the draft was.
    fn give_up(&mut self, error: DownloadError, before: u64, draft: &mut Draft) -> Option<String> {
        self.all += 1;
        self.in_vain = match draft.bytes > before {
            true => 1,
            false => self.in_vain + 1,
        };
        let may_go_on = self.in_vain < TRIES && self.all < TRIES_IN_ALL;
        match error {
            DownloadError::Transient(_) if may_go_on => None,
            // What was refused may be the place in the file alone.
            DownloadError::Refused(_) if may_go_on && draft.bytes > 0 => {
                draft.version = None;
                draft.bytes = 0;
                None
            }
            DownloadError::Refused(reason) | DownloadError::Transient(reason) => Some(reason),
        }
    }
}

async fn find(fetching: &Fetching<'_>, key: &Key) -> Result<Option<Entry>, FilesError> {
    let (cache, key) = (fetching.context.cache.clone(), key.clone());
    blocking(move || Ok(cache.find(&key))).await
}

async fn attempt(
    fetching: &Fetching<'_>,
    wanted: &Wanted,
    bearer: Option<&Secret>,
    key: &Key,
    entry: Option<&Entry>,
    draft: &mut Draft,
) -> Result<Arrived, Failure> {
    let from = draft.version.as_ref().map_or(0, |_| draft.bytes);
    let source = Source {
        url: &wanted.url,
        author: Author::Anybody,
        bearer,
        from,
        most: fetching.plan.export.max_file_size,
    };
    let known = match (&draft.version, entry) {
        (Some(version), _) if from > 0 => Known::Beginning(version),
        (_, Some(entry)) => Known::Whole(&entry.version),
        _ => Known::Nothing,
    };
    let opened = fetching.context.downloads.open_stored(source, known).await;
    match (opened.map_err(Failure::Download)?, entry) {
        (Some(download), _) => save(fetching, download, draft).await.map(Arrived::Whole),
        (None, Some(entry)) => from_cache(fetching, key, entry, &draft.path).await,
        (None, None) => Ok(Arrived::CacheFailed),
    }
}

async fn from_cache(
    fetching: &Fetching<'_>,
    key: &Key,
    entry: &Entry,
    to: &Path,
) -> Result<Arrived, Failure> {
    fetching
        .room
        .take(entry.bytes)
        .await
        .map_err(Failure::Files)?;
    let (cache, key) = (fetching.context.cache.clone(), key.clone());
    let (entry, to) = (entry.clone(), to.to_owned());
    let taken = blocking(move || cache.take(&key, &entry, &to)).await;
    match taken.map_err(Failure::Files)? {
        true => Ok(Arrived::Whole(None)),
        false => Ok(Arrived::CacheFailed),
    }
}

/// Writes what comes behind what is here. Whatever ends it, the draft says how far it has got.
async fn save(
    fetching: &Fetching<'_>,
    mut download: Download,
    draft: &mut Draft,
) -> Result<Option<Version>, Failure> {
    let cannot = |error: io::Error| Failure::Files(error.into());
    let version = download.version();
    // Without its length it may have been packed on its way, and a place in it is no place in the file.
    draft.version = version.clone().filter(|_| download.length().is_some());
    draft.bytes = download.position();
    let mut file = open(&draft.path, draft.bytes).await.map_err(cannot)?;
    let ended = loop {
        let bytes = match download.next().await {
            Ok(Some(bytes)) => bytes,
            // Without its length nobody knows whether that is all of it, so it is kept for no other time.
            Ok(None) => break Ok(version.filter(|_| download.length().is_some())),
            Err(error) => break Err(Failure::Download(error)),
        };
        if let Err(error) = fetching.room.take(bytes.len() as u64).await {
            break Err(Failure::Files(error));
        }
        file.write_all(&bytes).await.map_err(cannot)?;
        draft.bytes += bytes.len() as u64;
    };
    file.flush().await.map_err(cannot)?;
    ended
}

async fn open(path: &Path, at: u64) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .await?;
    file.set_len(at).await?;
    file.seek(io::SeekFrom::Start(at)).await?;
    Ok(file)
}

async fn put_in_place(
    draft: PathBuf,
    place: PathBuf,
    kept: Option<(super::Cache, Key, Version)>,
) -> Result<Outcome, FilesError> {
    let put = move || {
        if let Some((cache, key, version)) = kept {
            cache.put(&key, version, &draft);
        }
        let file = std::fs::File::open(&draft)?;
        file.sync_data()?;
        let bytes = file.metadata()?.len();
        std::fs::rename(&draft, &place)?;
        Ok(Outcome::Bytes(bytes))
    };
    blocking(put).await
}

impl Fetching<'_> {
    /// The API key, for what lies at the workspace's own Labelbox and nobody but Labelbox can have named.
    async fn key_for(&self, wanted: &Wanted) -> Result<Option<Secret>, FilesError> {
        let is_mask = matches!(wanted.what, What::Mask(_));
        if !is_mask || !same_host(&wanted.url, self.plan.endpoint) {
            return Ok(None);
        }
        let reference = self.plan.api_key.clone();
        let read = blocking(move || reference.read().map_err(io::Error::other)).await;
        let cannot = |error| FilesError::Later(format!("masks need the API key: {error}"));
        read.map(Some).map_err(cannot)
    }

    /// The reason, with what it probably comes from.
    /// Whether a fresh export has an address that holds. One that was over when this export was made is its owner's.
    fn can_be_renewed(&self, wanted: &Wanted, reason: &str) -> bool {
        let held = !is_over(&wanted.url, self.plan.exported_at);
        self.plan.renewable
            && may_be_expiry(reason)
            && held
            && is_over(&wanted.url, Timestamp::now())
    }

    fn explain(&self, reason: String) -> String {
        let age = Timestamp::now().duration_since(self.plan.exported_at);
        let age = Duration::try_from(age).unwrap_or_default();
        match may_be_expiry(&reason) && age > OLD {
            true => {
                let minutes = age.as_secs() / 60;
                format!(
                    "{reason}: {minutes} minutes after the export its address has probably expired"
                )
            }
            false => reason,
        }
    }
}

/// What stores answer to an address that holds no longer.
fn may_be_expiry(reason: &str) -> bool {
    ["400", "401", "403", "410"]
        .into_iter()
        .any(|status| reason.starts_with(&format!("answered {status}")))
}

/// Whether scheme, host and port are the same.
fn same_host(url: &str, other: &str) -> bool {
    let parse = |text: &str| reqwest::Url::parse(text).ok();
    matches!((parse(url), parse(other)), (Some(one), Some(other)) if one.origin() == other.origin())
}
