//! Paths as they are written in `models.toml`.

use std::path::{Component, Path, PathBuf};

/// A path from the file's folder on, without `.` and `..`: engines refuse these, or resolve them before links, and a node
/// may lack the folder that they lead out of.
pub(crate) fn path_from(base: &Path, written: impl AsRef<Path>) -> PathBuf {
    let mut path = PathBuf::new();
    for part in base.join(written).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if path.file_name().is_some() => drop(path.pop()),
            Component::ParentDir if path.has_root() => {}
            other => path.push(other),
        }
    }
    path
}
