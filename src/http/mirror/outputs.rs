//! `out/`, file by file: a draft grows by offset, and takes its place only when all of it is there and its sum is right.

use std::{
    fs, io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use warp::reply::Response;

use super::{
    Attempt, Service,
    guard::{blocking, number, word},
    ok,
    tell::standing,
};
use crate::{
    http::error::ApiError,
    job_dir::{files, hash_file},
    mirror::{Standing, hex},
};

/// Files that an attempt may leave.
const COUNT_LIMIT: u64 = 100_000;

/// What lies in an attempt's `out/`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    files: u64,
    bytes: u64,
}

/// An output that is complete: its path from `out/`, its size, its sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed(String, u64, String);

/// One file on its way.
#[derive(Debug)]
struct Output {
    attempt: Attempt,
    /// From `out/`.
    path: String,
    size: u64,
    sha256: String,
}

impl Service {
    pub(super) async fn take_output(
        &self,
        attempt: Attempt,
        path: String,
        query: &str,
        body: Bytes,
    ) -> Result<Response, ApiError> {
        let (offset, size) = (number(query, "offset")?, number(query, "size")?);
        let sha256 = word(query, "sha256").filter(|sum| is_sum(sum));
        let sha256 = sha256.ok_or_else(|| {
            ApiError::Invalid("the query must hold sha256=<64 lower-case hex digits>".to_owned())
        })?;
        if offset.saturating_add(body.len() as u64) > size {
            return Err(ApiError::Invalid(
                "there is more of it than its size".to_owned(),
            ));
        }
        if self.mirror.room.get().shortage().is_some() {
            return Err(ApiError::Unavailable {
                retry_after: std::time::Duration::from_secs(30),
            });
        }
        let (sha256, limit) = (sha256.to_owned(), self.mirror.max_output);
        let desk = self.desks.free(attempt.launch_id).await;
        let mut desk = desk.ok_or(ApiError::Unavailable {
            retry_after: std::time::Duration::from_secs(5),
        })?;
        let taken = blocking(move || {
            let output = Output {
                attempt,
                path,
                size,
                sha256,
            };
            if desk.placed.as_ref() == Some(&output.placed()) {
                return standing(&output.attempt.dir, size).map(Some);
            }
            let usage = match desk.usage {
                Some(usage) => usage,
                None => count(&output.attempt.dir.out())?,
            };
            desk.usage = Some(usage);
            if usage.bytes.saturating_add(size) > limit || usage.files >= COUNT_LIMIT {
                // A repeat of what is complete takes no more room.
                if !output.is_there()? {
                    return Ok(None);
                }
                desk.placed = Some(output.placed());
                return standing(&output.attempt.dir, size).map(Some);
            }
            let (have, is_new) = output.take(offset, &body)?;
            if is_new {
                desk.usage = Some(usage.with(size));
            }
            // Nothing is there of an empty one whose sum is wrong, too.
            if is_new || (have >= size && size > 0) {
                desk.placed = Some(output.placed());
            }
            standing(&output.attempt.dir, have).map(Some)
        });
        let standing: Option<Standing> = taken.await?;
        match standing {
            Some(standing) => Ok(ok(&standing)),
            None => Err(ApiError::OverQuota(format!(
                "more in out/ than max_output allows ({limit} bytes), or more than {COUNT_LIMIT} files"
            ))),
        }
    }
}

impl Usage {
    const fn with(self, size: u64) -> Self {
        Self {
            files: self.files + 1,
            bytes: self.bytes + size,
        }
    }
}

impl Output {
    fn placed(&self) -> Placed {
        Placed(self.path.clone(), self.size, self.sha256.clone())
    }

    /// Whether the file has its place already.
    fn is_there(&self) -> io::Result<bool> {
        let name = format!("out/{}", self.path);
        let Some(file) = files::open_untrusted(self.attempt.dir.path(), &name)? else {
            return Ok(false);
        };
        Ok(file.metadata()?.len() == self.size && hash_file(&file)?.1 == self.sha256)
    }

    /// Puts bytes at their place; answers how much of the file is here, and whether it came to its place just now.
    fn take(&self, offset: u64, bytes: &[u8]) -> io::Result<(u64, bool)> {
        if offset == 0 && self.is_there()? {
            return Ok((self.size, false));
        }
        let draft = self.draft()?;
        let file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&draft)?;
        let mut have = file.metadata()?.len();
        let known = have.checked_sub(offset).map(usize::try_from);
        if let Some(news) = known.and_then(|known| bytes.get(known.ok()?..)) {
            file.write_all_at(news, have)?;
            have += news.len() as u64;
        }
        if have < self.size {
            return Ok((have, false));
        }
        if hash_file(&file)?.1 != self.sha256 {
            tracing::warn!(launch_id = %self.attempt.launch_id, "an output arrived damaged, and is asked for again");
            fs::remove_file(&draft)?;
            return Ok((0, false));
        }
        file.sync_all()?;
        files::move_untrusted(
            &draft,
            self.attempt.dir.path(),
            &format!("out/{}", self.path),
        )?;
        Ok((self.size, true))
    }

    /// Where the file grows; only one does at a time, so whatever else was begun there is dropped.
    fn draft(&self) -> io::Result<PathBuf> {
        let folder = drafts(&self.attempt);
        fs::create_dir_all(&folder)?;
        let name = format!("{} {} {}", self.path, self.size, self.sha256);
        let draft = folder.join(hex(&Sha256::digest(name)));
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path != draft {
                fs::remove_file(path)?;
            }
        }
        Ok(draft)
    }
}

/// Where an attempt's outputs grow: the command cannot plant anything there.
pub(super) fn drafts(attempt: &Attempt) -> PathBuf {
    let number = attempt.launch_id.attempt;
    attempt.job_dir.server().join(format!("mirror-a{number}"))
}

fn is_sum(text: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 64 && text.bytes().all(digit)
}

/// What is there; a link counts for itself and is not followed.
fn count(folder: &Path) -> io::Result<Usage> {
    let (mut usage, mut left) = (Usage::default(), vec![folder.to_owned()]);
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                left.push(entry.path());
            } else {
                usage = usage.with(metadata.len());
            }
        }
    }
    Ok(usage)
}
