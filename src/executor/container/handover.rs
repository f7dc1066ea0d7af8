//! What the user in the container must be able to read and write.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, lchown},
    path::{Path, PathBuf},
};

use super::settings::User;
use crate::job_dir::{AttemptDir, files};

/// Names the image's own workdir in the request, and gives the files to `user` where that is not us. No command of this
/// job runs meanwhile, and links are not followed.
pub(super) fn hand_over(
    attempt_dir: &Path,
    workdir: Option<PathBuf>,
    user: User,
) -> io::Result<()> {
    let dir = AttemptDir::at(attempt_dir.to_owned());
    if dir.read_claim()?.is_some() {
        // It has begun: what lies there is not ours to change any more.
        return Ok(());
    }
    if let Some(workdir) = workdir {
        let mut request = dir.read_request()?;
        request.workdir = workdir;
        files::write_atomic(
            &dir.request(),
            &serde_json::to_vec_pretty(&request).map_err(io::Error::other)?,
        )?;
    }
    if user == User::own() {
        return Ok(());
    }
    let mut shared = vec![attempt_dir.to_owned()];
    if let Some(job) = attempt_dir.parent() {
        shared.extend(["data", "code", "webhook.json"].map(|name| job.join(name)));
    }
    shared
        .into_iter()
        .filter(|path| path.exists())
        .try_for_each(|path| give(path, user))
}

/// Gives everything below `top`, and itself, to the user.
fn give(top: PathBuf, user: User) -> io::Result<()> {
    let mut left = vec![top];
    while let Some(path) = left.pop() {
        let found = fs::symlink_metadata(&path)?;
        if found.uid() != user.uid || found.gid() != user.gid {
            lchown(&path, Some(user.uid), Some(user.gid))?;
        }
        if found.is_dir() {
            for entry in fs::read_dir(&path)? {
                left.push(entry?.path());
            }
        }
    }
    Ok(())
}
