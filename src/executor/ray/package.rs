//! This program as a package of Ray's: uploaded once to the head, which gives it to the nodes of jobs that name it.
//!
//! It is one of the job's `py_modules`, which leaves its `working_dir` to people. Ray forgets a package when the last
//! job that names it is over, and ten minutes after it was asked for: so it is asked for before every submit.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use super::{
    api::{Api, Body, Fault},
    submission::Sent,
};
use crate::{executor::SubmitError, mirror::hex};
use flate2::{Compression, Crc, write::DeflateEncoder};
use reqwest::Method;
use sha2::{Digest, Sha256};

/// The upload may take this long, with the wait for others'.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(25);

/// Characters of the program's sum in its names.
const SUM_LENGTH: usize = 16;

/// Bytes read of an answer that says yes.
const ANSWER_LIMIT: usize = 64 * 1024;

/// Ray's dashboard takes no longer body (`DASHBOARD_CLIENT_MAX_SIZE`).
const LONGEST: usize = 100 * 1024 * 1024;

/// A regular file that everybody may read and run.
const MODE: u32 = 0o100_755;

/// Names and brings this program to Ray.
#[derive(Debug, Default)]
pub(super) struct Packages {
    named: Arc<Mutex<Option<Named>>>,
    /// One upload at a time: many submits begin at once.
    uploading: tokio::sync::Mutex<()>,
}

/// A program by its file, and how it is named on Ray.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    path: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
    sent: Sent,
}

impl Packages {
    /// How the program at `path` is named on Ray, which need not have it.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub(super) async fn name(&self, path: &Path) -> Result<Sent, SubmitError> {
        let (file, named) = (path.to_owned(), Arc::clone(&self.named));
        beside(path, move || name(file, &named)).await
    }

    /// Sees that Ray has the program at `path`.
    ///
    /// # Errors
    /// When its file cannot be read, or Ray does not take it.
    pub(super) async fn provide(&self, api: &Api, path: &Path) -> Result<Sent, SubmitError> {
        let sent = self.name(path).await?;
        let target = format!("packages/{}", sent.address.replacen("://", "/", 1));
        if !has(api, &target).await? {
            let brought =
                tokio::time::timeout(UPLOAD_TIMEOUT, self.bring(api, path, &sent, &target));
            let late = || {
                Err(SubmitError::Transient(
                    "this program is not uploaded in time".to_owned(),
                ))
            };
            brought.await.unwrap_or_else(|_| late())?;
        }
        Ok(sent)
    }

    /// Uploads it, unless another submit has done so meanwhile.
    async fn bring(
        &self,
        api: &Api,
        path: &Path,
        sent: &Sent,
        target: &str,
    ) -> Result<(), SubmitError> {
        let _turn = match self.uploading.try_lock() {
            Ok(turn) => turn,
            Err(_) => {
                let turn = self.uploading.lock().await;
                if has(api, target).await? {
                    return Ok(());
                }
                turn
            }
        };
        let (file, name) = (path.to_owned(), sent.file.clone());
        let package = beside(path, move || pack(&file, &name)).await?;
        if package.len() > LONGEST {
            return Err(SubmitError::Rejected(format!(
                "{} is too long for Ray's API, which takes 100 MiB: name a stripped one (program = …), or put it on the \
                 nodes (supervisor = \"path:…\")",
                path.display()
            )));
        }
        let limits = (UPLOAD_TIMEOUT, ANSWER_LIMIT);
        let uploaded = api.call(Method::PUT, target, Body::Bytes(package), limits);
        let not_taken = |fault: Fault| {
            SubmitError::Transient(format!("this program cannot be uploaded: {fault}"))
        };
        uploaded.await.map_err(not_taken).map(drop)
    }
}

/// Whether Ray has the package; to be asked for it has Ray keep it for a while.
async fn has(api: &Api, target: &str) -> Result<bool, SubmitError> {
    match api.get(target, ANSWER_LIMIT).await {
        Ok(_) => Ok(true),
        Err(fault) if fault.is_absence() => Ok(false),
        Err(fault) => Err(SubmitError::Transient(fault.to_string())),
    }
}

/// Reads and packs beside the async threads.
async fn beside<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, SubmitError> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(io::Error::other).and_then(|done| done);
    done.map_err(|error| {
        let path = path.display();
        SubmitError::Transient(format!("cannot send the program {path}: {error}"))
    })
}

fn name(path: PathBuf, kept: &Mutex<Option<Named>>) -> io::Result<Sent> {
    let metadata = fs::metadata(&path)?;
    let (length, modified) = (metadata.len(), metadata.modified().ok());
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(named) = kept.as_ref()
        && (&named.path, named.length, named.modified) == (&path, length, modified)
    {
        return Ok(named.sent.clone());
    }
    let file = file_name(&fs::read(&path)?);
    let sent = Sent {
        address: format!("gcs://{file}.zip"),
        file,
    };
    *kept = Some(Named {
        path,
        length,
        modified,
        sent: sent.clone(),
    });
    Ok(sent)
}

/// Another program has another name: Ray keeps what it has unpacked.
fn file_name(program: &[u8]) -> String {
    let sum = hex(&Sha256::digest(program));
    format!("trainhook-{}", &sum[..SUM_LENGTH])
}

fn pack(path: &Path, name: &str) -> io::Result<Vec<u8>> {
    let program = fs::read(path)?;
    if file_name(&program) != name {
        return Err(io::Error::other("it is being replaced"));
    }
    zip(name, &program)
}

/// A ZIP archive of one file (APPNOTE 6.3: local header, content, central directory).
fn zip(name: &str, content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content)?;
    let packed = encoder.finish()?;
    let mut crc = Crc::new();
    crc.update(content);
    let length = |length: usize| {
        u32::try_from(length).map_err(|_| io::Error::other("it is longer than 4 GiB"))
    };
    let mut common = Vec::new();
    // Version 2.0, no flags, deflated, at midnight of 1980-01-01.
    for number in [20_u16, 0, 8, 0, 0x21] {
        common.extend(number.to_le_bytes());
    }
    for number in [crc.sum(), length(packed.len())?, length(content.len())?] {
        common.extend(number.to_le_bytes());
    }
    // A name of ours is short; there is no extra field.
    common.extend((name.len() as u16).to_le_bytes());
    common.extend([0, 0]);
    let mut archive = [b"PK\x03\x04", &common[..], name.as_bytes(), &packed].concat();
    let directory_at = length(archive.len())?;
    // Made on Unix, whose mode stands in the upper half of the attributes; the file begins at 0.
    let mut directory = [b"PK\x01\x02", &[20, 3][..], &common, &[0; 6]].concat();
    directory.extend((MODE << 16).to_le_bytes());
    directory.extend([0; 4]);
    directory.extend(name.as_bytes());
    let directory_length = length(directory.len())?;
    archive.extend(directory);
    archive.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    archive.extend(directory_length.to_le_bytes());
    archive.extend(directory_at.to_le_bytes());
    archive.extend([0, 0]);
    Ok(archive)
}
