//! What has arrived of a file, where nobody sees it yet.

use std::{
    io,
    path::{Path, PathBuf},
};

use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncSeekExt, AsyncWriteExt},
};

use super::{fetching::Fetching, one::Failure};
use crate::downloads::{Download, Version};

/// What has arrived so far of a file.
pub(super) struct Draft {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// Of which version it is; none if it cannot be taken up.
    pub(super) version: Option<Version>,
}

impl Draft {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self {
            path,
            bytes: 0,
            version: None,
        }
    }

    /// From where it can be taken up.
    pub(super) fn place(&self) -> u64 {
        self.version.as_ref().map_or(0, |_| self.bytes)
    }
}

/// Writes what comes behind what is here. Whatever ends it, the draft says how far it has got.
pub(super) async fn save(
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
            Ok(None) => {
                let kept = version.filter(|version| version.is_exact());
                break Ok(kept.filter(|_| download.length().is_some()));
            }
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
