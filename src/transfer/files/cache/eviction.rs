//! What leaves a full cache: the least recently used. Only sums are in memory, however many entries there are.

use std::{
    collections::BTreeMap,
    fs::{self, DirEntry},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    DESCRIPTION,
    entries::{description, remove},
};

/// What the entries below a folder hold, in bytes.
pub(super) fn held(dir: &Path) -> u64 {
    usage(dir).values().sum()
}

/// Removes the oldest entries until no more than `most` bytes are left; answers what is left.
pub(super) fn evict(dir: &Path, most: u64) -> u64 {
    let usage = usage(dir);
    let mut newer: u64 = usage.values().sum();
    let mut last = None;
    for (minute, bytes) in usage {
        if newer <= most {
            break;
        }
        newer = newer.saturating_sub(bytes);
        last = Some(minute);
    }
    let Some(last) = last else {
        return newer;
    };
    // Of the minute in which the bound is reached, as much stays as fits.
    let mut room = most.saturating_sub(newer);
    for path in contents(dir) {
        let (minute, bytes) = used(&path);
        if minute > last {
            continue;
        }
        match minute == last && bytes <= room {
            true => room -= bytes,
            false => remove(&path),
        }
    }
    most.saturating_sub(room)
}

/// Bytes by the minute of their last use.
fn usage(dir: &Path) -> BTreeMap<u64, u64> {
    let mut usage = BTreeMap::new();
    for path in contents(dir) {
        let (minute, bytes) = used(&path);
        *usage.entry(minute).or_default() += bytes;
    }
    usage
}

/// The files of all entries, one after the other.
fn contents(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let list = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten();
    let shelves = list(dir.to_owned()).map(|shelf: DirEntry| shelf.path());
    let files = shelves.flat_map(list).map(|file: DirEntry| file.path());
    files.filter(|path| !path.to_string_lossy().ends_with(DESCRIPTION))
}

/// When an entry was last used, in minutes, and how large it is.
fn used(path: &Path) -> (u64, u64) {
    let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
    let time = fs::metadata(description(path)).or_else(|_| fs::metadata(path));
    let time = time.and_then(|metadata| metadata.modified()).ok();
    let since = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    (since.map_or(0, |since| since.as_secs() / 60), bytes)
}
