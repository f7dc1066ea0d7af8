//! One file: from the cache if it is unchanged, else from its address, in as many tries as that is worth.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    FilesError, blocking,
    cache::{Entry, Key},
    draft::{Draft, save},
    fetching::Fetching,
    hosts::{Verdict, host_of},
    journal::Outcome,
    line::Wanted,
    tries::Tries,
};
use crate::{
    config::Secret,
    downloads::{Author, DownloadError, Known, Source, Trouble, Version},
};

/// How a try ended that did not fail.
enum Arrived {
    /// It is here; its version, if it may be kept for another time.
    Whole(Option<Version>),
    /// What the cache had was spoiled: the next try asks without it.
    CacheFailed,
}

/// Why a try failed.
pub(super) enum Failure {
    Download(DownloadError),
    Files(FilesError),
}

/// What is done after a try that failed.
enum Next {
    /// Another try, after the wait that the server wishes.
    Again(Option<Duration>),
    /// Another one, from the file's beginning.
    FromStart,
    Settled(Outcome),
}

/// Brings a file to its place.
pub(super) async fn fetch(fetching: &Fetching<'_>, wanted: &Wanted) -> Result<Outcome, FilesError> {
    let key = Key::of(wanted);
    let mut entry = find(fetching, &key).await?;
    let bearer = fetching.key_for(wanted).await?;
    let mut draft = Draft::new(fetching.draft_path());
    let (hosts, mut tries) = (&fetching.context.hosts, Tries::default());
    loop {
        let (before, is_part) = (draft.bytes, draft.place() > 0);
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
                hosts.came(&wanted.url);
                let kept = version.map(|version| (fetching.context.cache.clone(), key, version));
                return put_in_place(fetching, draft.path, fetching.place(wanted), kept).await;
            }
            Err(Failure::Files(error)) => return Err(error),
            Err(Failure::Download(error)) => error,
        };
        tries.count(draft.bytes > before);
        let asked = (is_part, bearer.is_some());
        let wished = match follow(fetching, wanted, error, asked, &tries)? {
            Next::Again(wished) => wished,
            Next::FromStart => {
                (draft.version, draft.bytes) = (None, 0);
                None
            }
            Next::Settled(outcome) => {
                // A draft that stays goes with the others at the end.
                let _ = tokio::fs::remove_file(&draft.path).await;
                return Ok(outcome);
            }
        };
        tokio::time::sleep(tries.rest(hosts, fetching.spread(), wished)).await;
    }
}

/// What follows a try that failed, which was for a part of the file or with the API key.
fn follow(
    fetching: &Fetching<'_>,
    wanted: &Wanted,
    error: DownloadError,
    (is_part, with_key): (bool, bool),
    tries: &Tries,
) -> Result<Next, FilesError> {
    match error {
        // What was refused may be the place in the file alone.
        DownloadError::Refused(_) if is_part && !tries.are_too_many() => Ok(Next::FromStart),
        DownloadError::Refused(reason) => {
            let refused = fetching.refused(wanted, reason, with_key);
            refused.map(Next::Settled)
        }
        DownloadError::Transient(trouble) => wait(fetching, wanted, trouble, tries),
    }
}

/// How a file is waited for that may still come.
fn wait(
    fetching: &Fetching<'_>,
    wanted: &Wanted,
    Trouble { text, retry_after }: Trouble,
    tries: &Tries,
) -> Result<Next, FilesError> {
    let hosts = &fetching.context.hosts;
    if tries.are_in_vain() {
        hosts.failed(&wanted.url, &text);
    }
    match tries.judge(hosts, &wanted.url, retry_after.is_some()) {
        Verdict::Again => {
            let (row, what) = (&wanted.row, wanted.what);
            tracing::debug!(data_row = row, "{what} is tried again: {text}");
            Ok(Next::Again(retry_after))
        }
        Verdict::Missing => Ok(Next::Settled(Outcome::Missing(text))),
        Verdict::Outage => Err(FilesError::Later {
            reason: format!("no file comes from {}: {text}", host_of(&wanted.url)),
            least: retry_after,
        }),
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
    let from = draft.place();
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
    let (entry, to, held) = (entry.clone(), to.to_owned(), Arc::clone(&fetching.journal));
    let taken = blocking(move || {
        let _held = held;
        Ok(cache.take(&key, &entry, &to))
    })
    .await;
    match taken.map_err(Failure::Files)? {
        true => Ok(Arrived::Whole(None)),
        false => Ok(Arrived::CacheFailed),
    }
}

async fn put_in_place(
    fetching: &Fetching<'_>,
    draft: PathBuf,
    place: PathBuf,
    kept: Option<(super::Cache, Key, Version)>,
) -> Result<Outcome, FilesError> {
    let held = Arc::clone(&fetching.journal);
    let put = move || {
        let _held = held;
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
