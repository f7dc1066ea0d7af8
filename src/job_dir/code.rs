//! `code/`: the model's own files, taken at acceptance, so that a later edit touches no job and no node needs them.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{JobDir, files};
use crate::mirror::hex;

/// Files taken for one model.
const COUNT_LIMIT: usize = 2000;

/// Bytes taken for one model: `request.json` and every attempt on another machine pay for them.
const SIZE_LIMIT: u64 = 64 << 20;

/// Names that are passed over: caches and histories, which no training needs.
const PASSED_OVER: [&str; 2] = [".git", "__pycache__"];

/// The longest list of taken files believed, in bytes.
const LIST_LIMIT: u64 = 4 << 20;

/// Bytes read at once.
const PIECE: usize = 64 * 1024;

/// One file that travels with a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Where it lies.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// Of its content; lower-case hex.
    pub sha256: String,
    /// Whether it may be executed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

/// Why a model's files cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// An entry of `files` leads elsewhere.
    #[error("{0:?} leaves the workdir: only files below it are copied")]
    Outside(PathBuf),
    /// A file is not what it should be; the text says how.
    #[error("{path}: {why}")]
    Unfit {
        /// The file, from the workdir.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There are too many, or they are too large.
    #[error(
        "more than {COUNT_LIMIT} files, or more than 64 MiB: name what the training needs, and no data"
    )]
    TooMuch,
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Broken {
        /// The file, from the workdir.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl JobDir {
    /// Where the model's own files lie.
    #[must_use]
    pub fn code(&self) -> PathBuf {
        self.path().join("code")
    }

    /// Takes the files that `entries` name below `workdir`, and makes them durable. Once taken they stay as they are.
    ///
    /// # Errors
    /// [`CodeError`]; then the next call begins anew.
    pub fn take_code(&self, workdir: &Path, entries: &[PathBuf]) -> Result<(), CodeError> {
        let broken = |path: &Path| {
            let path = path.display().to_string();
            move |source| CodeError::Broken { path, source }
        };
        if entries.is_empty() || self.list().exists() {
            return Ok(());
        }
        let (draft, code) = (self.path().join("code.draft"), self.code());
        for leftover in [&draft, &code] {
            remove(leftover).map_err(broken(leftover))?;
        }
        fs::create_dir(&draft).map_err(broken(&draft))?;
        let mut taken = Vec::new();
        for path in survey(workdir, entries)? {
            let room = SIZE_LIMIT - taken.iter().map(|file: &FileRecord| file.size).sum::<u64>();
            let record = copy(workdir, &draft, &path, room);
            let record = record.map_err(broken(Path::new(&path)))?;
            taken.push(record.ok_or(CodeError::TooMuch)?);
        }
        let text = serde_json::to_vec(&taken).map_err(io::Error::other);
        text.and_then(|text| {
            fs::rename(&draft, &code)?;
            files::sync_dir(self.path())?;
            files::write_atomic(&self.list(), &text)
        })
        .map_err(broken(&code))
    }

    /// The files that were taken, from `code/`; none if none were.
    ///
    /// # Errors
    /// When their list cannot be read.
    pub fn read_code(&self) -> io::Result<Vec<FileRecord>> {
        let list = files::read_json(&self.server(), "code.json", LIST_LIMIT)?;
        Ok(list.unwrap_or_default())
    }

    fn list(&self) -> PathBuf {
        self.server().join("code.json")
    }
}

/// The files that `entries` name below `workdir`, each once, in the order of their names.
///
/// # Errors
/// When one is missing, is a link, no file, or outside; or when there are too many.
pub fn survey(workdir: &Path, entries: &[PathBuf]) -> Result<Vec<String>, CodeError> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    let mut left = Vec::new();
    for entry in entries {
        left.push(plain(entry).ok_or_else(|| CodeError::Outside(entry.clone()))?);
    }
    while let Some(path) = left.pop() {
        let metadata = look(workdir, &path)?;
        if metadata.is_dir() {
            left.append(&mut children(workdir, &path)?);
        } else {
            bytes += metadata.len();
            found.push(text(&path)?);
        }
        if found.len() + left.len() > COUNT_LIMIT || bytes > SIZE_LIMIT {
            return Err(CodeError::TooMuch);
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The entry without `.`, if it leads nowhere else.
fn plain(entry: &Path) -> Option<PathBuf> {
    let parts = entry.components().filter(|part| *part != Component::CurDir);
    parts
        .map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect()
}

/// What is at `path`, which is reached without links.
fn look(workdir: &Path, path: &Path) -> Result<fs::Metadata, CodeError> {
    let shown = || path.display().to_string();
    let unfit = |why| CodeError::Unfit { path: shown(), why };
    let mut here = workdir.to_owned();
    for name in path.components() {
        here.push(name);
        let metadata = fs::symlink_metadata(&here).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => unfit("there is no such file below the workdir"),
            _ => CodeError::Broken {
                path: shown(),
                source: error,
            },
        })?;
        if metadata.is_symlink() {
            return Err(unfit(
                "is a link, or behind one: links are not copied, name what they lead to",
            ));
        }
    }
    let metadata = fs::metadata(&here);
    let metadata = metadata.map_err(|source| CodeError::Broken {
        path: shown(),
        source,
    })?;
    match metadata.is_dir() || metadata.is_file() {
        true => Ok(metadata),
        false => Err(unfit("is neither a file nor a folder")),
    }
}

fn children(workdir: &Path, path: &Path) -> Result<Vec<PathBuf>, CodeError> {
    let broken = |source| CodeError::Broken {
        path: path.display().to_string(),
        source,
    };
    let mut children = Vec::new();
    for entry in fs::read_dir(workdir.join(path)).map_err(broken)? {
        let name = entry.map_err(broken)?.file_name();
        if !PASSED_OVER.iter().any(|passed| name == *passed) {
            children.push(path.join(name));
        }
        if children.len() > COUNT_LIMIT {
            return Err(CodeError::TooMuch);
        }
    }
    Ok(children)
}

fn text(path: &Path) -> Result<String, CodeError> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| CodeError::Unfit {
            path: path.display().to_string(),
            why: "its name is not UTF-8",
        })
}

/// Copies one file; none if it is longer than `room`. The command may not write to the copy by mistake.
fn copy(workdir: &Path, to: &Path, path: &str, room: u64) -> io::Result<Option<FileRecord>> {
    let source = files::open_untrusted(workdir, path)?.ok_or(io::ErrorKind::NotFound)?;
    let executable = source.metadata()?.permissions().mode() & 0o111 != 0;
    let mut copy = files::create_untrusted(to, path)?;
    let (size, sha256) = hash(source.take(room + 1), &mut copy)?;
    if size > room {
        return Ok(None);
    }
    let mode = if executable { 0o555 } else { 0o444 };
    copy.set_permissions(fs::Permissions::from_mode(mode))?;
    copy.sync_all()?;
    Ok(Some(FileRecord {
        path: path.to_owned(),
        size,
        sha256,
        executable,
    }))
}

/// Reads to the end, writes what it reads, and answers how much that was and its sha256.
///
/// # Errors
/// As either of the two says.
pub fn hash(mut from: impl Read, to: &mut impl Write) -> io::Result<(u64, String)> {
    let (mut size, mut digest, mut piece) = (0, Sha256::new(), vec![0; PIECE]);
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok((size, hex(&digest.finalize()))),
            Ok(length) => {
                size += length as u64;
                digest.update(&piece[..length]);
                to.write_all(&piece[..length])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The sha256 of an open file's content from its beginning, and its length.
///
/// # Errors
/// When it cannot be read.
pub fn hash_file(mut file: &File) -> io::Result<(u64, String)> {
    io::Seek::rewind(&mut file)?;
    hash(file, &mut io::sink())
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
