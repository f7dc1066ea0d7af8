//! Files that last and files that are not trusted.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Read, Write},
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStringExt, fs::symlink},
    },
    path::{Component, Path},
};

use rustix::{
    fs::{Dir, Mode, OFlags, fsync, mkdirat, openat, renameat},
    io::Errno,
};
use serde::de::DeserializeOwned;

/// Writes a file that is on disk when this returns.
///
/// # Errors
/// As the file system says.
pub fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Replaces a file: readers see the old content or the new, also after a crash.
///
/// # Errors
/// As the file system says; the old content stays.
pub fn write_atomic(path: &Path, content: &[u8]) -> io::Result<()> {
    let parent = path
        .parent()
        .ok_or_else(|| io::Error::other("a file needs a folder"))?;
    let mut draft_name = OsStr::new(".").to_owned();
    draft_name.push(path.file_name().unwrap_or_default());
    draft_name.push(format!(".{}", std::process::id()));
    let draft = parent.join(draft_name);
    write_synced(&draft, content)
        .and_then(|()| fs::rename(&draft, path))
        .inspect_err(|_| {
            // A draft that stays behind is harmless; the error that matters is already on its way.
            let _ = fs::remove_file(&draft);
        })?;
    sync_dir(parent)
}

/// Makes creations, renames and removals in a folder durable.
///
/// # Errors
/// As the file system says.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes a symbolic link unless something is there already.
///
/// # Errors
/// As the file system says.
pub fn link_once(target: &Path, link: &Path) -> io::Result<()> {
    match symlink(target, link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Opens a file that a stranger may have written: no component of `name` may be a link, it must be
/// a regular file, and a FIFO planted there cannot hold us up. None if there is no such file.
///
/// # Errors
/// When it is anything else than a regular file reached without links, or cannot be opened.
pub fn open_untrusted(dir: &Path, name: &str) -> io::Result<Option<File>> {
    let mut parts = Path::new(name).components();
    let file_name = match parts.next_back() {
        Some(Component::Normal(file_name)) => file_name,
        _ => return Err(leaves()),
    };
    let folder = UntrustedFolder::open(dir, parts.as_path())?;
    folder.map_or(Ok(None), |folder| folder.open_file(file_name))
}

/// A folder that a stranger may have made, held open: what is put in its place later is not looked at.
#[derive(Debug)]
pub struct UntrustedFolder {
    folder: OwnedFd,
}

impl UntrustedFolder {
    /// Opens the folder `name` below `dir`; no component of `name` may be a link. None if there is no such folder.
    ///
    /// # Errors
    /// When it is anything else than a folder reached without links, or cannot be opened.
    pub fn open(dir: &Path, name: &Path) -> io::Result<Option<Self>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut folder = match rustix::fs::open(dir, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        };
        for part in name.components() {
            let Component::Normal(part) = part else {
                return Err(leaves());
            };
            folder = match openat(&folder, part, flags | OFlags::NOFOLLOW, Mode::empty()) {
                Err(Errno::NOENT) => return Ok(None),
                other => other?,
            };
        }
        Ok(Some(Self { folder }))
    }

    /// Opens a file in it under the rules of [`open_untrusted`]. None if there is no such file.
    ///
    /// # Errors
    /// When it is anything else than a regular file, or cannot be opened.
    pub fn open_file(&self, name: &OsStr) -> io::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.folder, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            other => File::from(other?),
        };
        if !file.metadata()?.is_file() {
            let name = name.display();
            return Err(io::Error::other(format!("{name} is not a regular file")));
        }
        Ok(Some(file))
    }

    /// The names in it, in no order, a few at a time.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn names(&self) -> io::Result<impl Iterator<Item = io::Result<OsString>>> {
        let own = |name: &OsStr| name != "." && name != "..";
        let entries = Dir::read_from(&self.folder)?;
        let names = entries.map(|entry| {
            let name = entry?.file_name().to_bytes().to_vec();
            Ok(OsString::from_vec(name))
        });
        Ok(names.filter(move |name| name.as_ref().map_or(true, |name| own(name))))
    }
}

fn leaves() -> io::Error {
    io::Error::other("a path that leaves its folder")
}

/// Reads at most `limit` bytes of an untrusted file; what is beyond is left out. None if there is no such file.
///
/// # Errors
/// As [`open_untrusted`], and when reading fails.
pub fn read_untrusted(dir: &Path, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = open_untrusted(dir, name)? else {
        return Ok(None);
    };
    let mut content = Vec::new();
    file.take(limit).read_to_end(&mut content)?;
    Ok(Some(content))
}

/// Reads an untrusted JSON file of at most `limit` bytes. None if there is no such file.
///
/// # Errors
/// As [`read_untrusted`], and [`io::ErrorKind::InvalidData`] when it is not what was expected.
pub fn read_json<T: DeserializeOwned>(dir: &Path, name: &str, limit: u64) -> io::Result<Option<T>> {
    let Some(content) = read_untrusted(dir, name, limit)? else {
        return Ok(None);
    };
    serde_json::from_slice(&content)
        .map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{name}: {error}")))
}

/// Opens a file below `dir` for reading and writing, and creates it and the folders before it if they are missing; no
/// component of `name` may be a link, and it must be a regular file.
///
/// # Errors
/// When it is anything else, or cannot be opened.
pub fn create_untrusted(dir: &Path, name: &str) -> io::Result<File> {
    let (folder, name) = create_parent(dir, name)?;
    let flags =
        OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(&folder, name, flags, Mode::RUSR | Mode::WUSR)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other(
            "there is something that is no regular file",
        ));
    }
    Ok(file)
}

/// Moves the file `from` to `name` below `dir`, and makes that durable; folders that are missing are created, and no
/// component of `name` may be a link.
///
/// # Errors
/// As the file system says; then `from` is still there.
pub fn move_untrusted(from: &Path, dir: &Path, name: &str) -> io::Result<()> {
    let (folder, name) = create_parent(dir, name)?;
    renameat(rustix::fs::CWD, from, &folder, name)?;
    fsync(&folder)?;
    Ok(())
}

/// The folder in which `name` lies below `dir`, and its last component.
fn create_parent<'a>(dir: &Path, name: &'a str) -> io::Result<(OwnedFd, &'a OsStr)> {
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut folder = rustix::fs::open(dir, directory, Mode::empty())?;
    let mut parts = Path::new(name).components().peekable();
    while let Some(part) = parts.next() {
        let part = inner_name(part)?;
        if parts.peek().is_none() {
            return Ok((folder, part));
        }
        match mkdirat(&folder, part, Mode::RWXU) {
            Ok(()) => fsync(&folder)?,
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        folder = openat(&folder, part, directory | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Err(io::Error::other("a path without a name"))
}

fn inner_name(part: Component<'_>) -> io::Result<&OsStr> {
    match part {
        Component::Normal(name) => Ok(name),
        _ => Err(leaves()),
    }
}
