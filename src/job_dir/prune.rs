//! Removing what is not needed any more of a job that has ended.
//!
//! A command wrote all of it and may have put links anywhere: none is followed.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{AttemptDir, JobDir};
use crate::config::Part;

impl JobDir {
    /// What these parts take on disk, in bytes. What cannot be looked at counts nothing.
    #[must_use]
    pub fn size_of(&self, parts: &[Part]) -> u64 {
        let paths = self.paths(parts).unwrap_or_default();
        paths.iter().map(|path| size(path)).sum()
    }

    /// Removes these parts; answers how many bytes that freed. Doing it twice is harmless.
    ///
    /// # Errors
    /// As the file system says; what was removed so far is gone.
    pub fn remove(&self, parts: &[Part]) -> io::Result<u64> {
        let mut freed = 0;
        for path in self.paths(parts)? {
            let size = size(&path);
            remove(&path)?;
            freed += size;
        }
        Ok(freed)
    }

    /// Where these parts lie.
    fn paths(&self, parts: &[Part]) -> io::Result<Vec<PathBuf>> {
        if !is_folder(self.path()) {
            return Ok(Vec::new());
        }
        let attempts = self.attempts()?;
        let in_attempts = |path: fn(&AttemptDir) -> PathBuf| {
            let dirs = attempts.iter().map(move |(_, dir)| path(dir));
            dirs.collect::<Vec<_>>()
        };
        let mut paths = Vec::new();
        for part in parts {
            match part {
                Part::Data => paths.extend([self.data(), self.code()]),
                Part::Checkpoint => paths.extend(in_attempts(AttemptDir::checkpoint)),
                Part::Models => {
                    paths.extend(in_attempts(AttemptDir::out));
                    // What was frozen of it and is not sent yet.
                    let server = self.server();
                    paths.extend(["upload", "upload.new"].map(|folder| server.join(folder)));
                }
                Part::Logs => {
                    paths.extend(in_attempts(AttemptDir::log_dir));
                    paths.extend(in_attempts(AttemptDir::events));
                    paths.extend(in_attempts(AttemptDir::supervisor_log));
                }
            }
        }
        Ok(paths)
    }

    /// The folders of all attempts; a link that bears the name of one is none.
    pub(super) fn attempts(&self) -> io::Result<Vec<(u32, AttemptDir)>> {
        let mut attempts = Vec::new();
        for entry in fs::read_dir(self.path())? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_prefix('a')?.parse::<u32>().ok());
            if let Some(number) = number.filter(|_| is_folder(&entry.path())) {
                attempts.push((number, AttemptDir::at(entry.path())));
            }
        }
        Ok(attempts)
    }
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// What is below `path`, however deep; a link counts for itself.
fn size(path: &Path) -> u64 {
    let (mut bytes, mut left) = (0, vec![path.to_owned()]);
    while let Some(path) = left.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        bytes += metadata.blocks() * 512;
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            left.extend(entries.map(|entry| entry.path()));
        }
    }
    bytes
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match is_folder(path) {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
