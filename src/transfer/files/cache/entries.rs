//! How entries lie on disk: a file each, and what describes it beside it.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{DESCRIPTION, Entry};
use crate::{downloads::Version, transfer::files::names::hex};

pub(super) fn write_entry(
    path: &Path,
    draft: &Path,
    version: Version,
    from: &Path,
) -> io::Result<u64> {
    fs::copy(from, draft)?;
    let (bytes, sha256) = digest(draft)?;
    fs::set_permissions(draft, fs::Permissions::from_mode(0o400))?;
    fs::rename(draft, path)?;
    let entry = Entry {
        version,
        bytes,
        sha256,
    };
    fs::write(draft, serde_json::to_vec(&entry)?)?;
    fs::rename(draft, description(path))?;
    Ok(bytes)
}

pub(super) fn description(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(DESCRIPTION);
    name.into()
}

/// An entry that cannot be removed is not found any more, or is found again and does.
pub(super) fn remove(path: &Path) {
    let _ = fs::remove_file(description(path));
    let _ = fs::remove_file(path);
}

/// Copies a file that is one; answers length and SHA-256 of the copy.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<(u64, String)> {
    if !fs::metadata(from)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    fs::copy(from, to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o600))?;
    digest(to)
}

/// Length and SHA-256 of a file.
fn digest(path: &Path) -> io::Result<(u64, String)> {
    let (mut file, mut hash) = (File::open(path)?, Sha256::new());
    let (mut buffer, mut bytes) = (vec![0; 64 * 1024], 0);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((bytes, hex(&hash.finalize())));
        }
        bytes += read as u64;
        hash.update(buffer.get(..read).unwrap_or_default());
    }
}
