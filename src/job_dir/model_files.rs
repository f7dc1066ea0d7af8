//! `out/model/`: what a command has made, listed without following a link.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{Dir, FileType, Mode, OFlags, fstat, openat},
    io::Errno,
};

use super::{AttemptDir, files};

/// More files are no model.
const MOST_FILES: usize = 100_000;

/// Folders within folders are followed so deep.
const DEEPEST: usize = 32;

/// A file below `out/model/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Where below `out/model/`.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// When it was last written, in seconds since 1970.
    pub modified: u64,
}

/// All files below `out/model/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelFiles {
    /// Regular files, in the order of their paths.
    pub files: Vec<ModelFile>,
    /// Links, sockets and names that are no text: they are left out.
    pub skipped: usize,
}

impl AttemptDir {
    /// Lists what lies below `out/model/`; nothing if there is no such folder.
    ///
    /// # Errors
    /// When a folder cannot be read, or holds more than any model.
    pub fn model_files(&self) -> io::Result<ModelFiles> {
        let mut found = ModelFiles::default();
        let Some(root) = self.open_model()? else {
            return Ok(found);
        };
        let mut folders = vec![(root, String::new(), 0)];
        while let Some((folder, path, depth)) = folders.pop() {
            for entry in Dir::read_from(&folder)? {
                let entry = entry?;
                let name = match entry.file_name().to_str() {
                    Ok("." | "..") => continue,
                    Ok(name) => format!("{path}{name}"),
                    Err(_) => {
                        found.skipped += 1;
                        continue;
                    }
                };
                match look(folder.as_fd(), entry.file_name())? {
                    Some(Entry::File(file)) => found.files.push(ModelFile { path: name, ..file }),
                    Some(Entry::Folder(below)) if depth < DEEPEST => {
                        folders.push((below, format!("{name}/"), depth + 1));
                    }
                    Some(Entry::Folder(_)) | None => found.skipped += 1,
                }
                if found.files.len() + folders.len() > MOST_FILES {
                    let text = format!("it holds more than {MOST_FILES} files");
                    return Err(io::Error::other(text));
                }
            }
        }
        found.files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(found)
    }

    /// Opens a file of that list; none if it is gone.
    ///
    /// # Errors
    /// When it is no regular file any longer, or cannot be opened.
    pub fn open_model_file(&self, file: &ModelFile) -> io::Result<Option<File>> {
        files::open_untrusted(self.path(), &format!("out/model/{}", file.path))
    }

    fn open_model(&self) -> io::Result<Option<OwnedFd>> {
        let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut folder = match rustix::fs::open(self.path(), directory, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        };
        for name in ["out", "model"] {
            folder = match openat(&folder, name, directory, Mode::empty()) {
                Err(Errno::NOENT) => return Ok(None),
                other => other?,
            };
        }
        Ok(Some(folder))
    }
}

enum Entry {
    File(ModelFile),
    Folder(OwnedFd),
}

/// What stands there under that name; none if it is neither file nor folder.
fn look(folder: std::os::fd::BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<Option<Entry>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = match openat(folder, name, flags, Mode::empty()) {
        // A link; or a socket; or gone since.
        Err(Errno::LOOP | Errno::NXIO | Errno::NOENT) => return Ok(None),
        other => other?,
    };
    let stat = fstat(&opened)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Some(Entry::File(ModelFile {
            path: String::new(),
            bytes: u64::try_from(stat.st_size).unwrap_or_default(),
            modified: u64::try_from(stat.st_mtime).unwrap_or_default(),
        })),
        FileType::Directory => Some(Entry::Folder(opened)),
        _ => None,
    })
}
