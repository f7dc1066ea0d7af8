//! The disk takes what is written while more is written, so that little is left to wait for when it must be there to stay.

use std::{
    fs::File,
    io,
    path::Path,
    sync::mpsc::{SyncSender, sync_channel},
    thread,
};

use crate::{dataset::Split, job_dir::JobDir};

/// The disk is given a file's bytes once there are so many more of them.
const STEP: usize = 32 << 20;

/// Files that wait for the disk; further ones are given to it with more.
const WAITING: usize = 4;

/// Has files synced that others write. It promises nothing: whoever needs to know that something is on disk syncs it
/// again, which takes no time where it is.
#[derive(Debug)]
pub(super) struct SyncAhead {
    written: [usize; 4],
    due: SyncSender<Split>,
}

impl SyncAhead {
    /// For the files of the splits, which are there.
    pub(super) fn start(dir: &JobDir) -> io::Result<Self> {
        let (due, splits) = sync_channel::<Split>(WAITING);
        let data = dir.data();
        let thread = thread::Builder::new().name("export-syncer".to_owned());
        thread.spawn(move || {
            for split in splits {
                sync(&data.join(split.file_name()));
            }
        })?;
        Ok(Self {
            written: [0; 4],
            due,
        })
    }

    /// So many bytes more were written for a split.
    pub(super) fn wrote(&mut self, split: Split, bytes: usize) {
        let written = &mut self.written[split as usize];
        *written += bytes;
        if *written >= STEP && self.due.try_send(split).is_ok() {
            *written = 0;
        }
    }
}

/// A file that is opened anew has errors of its own: whoever wrote is told of each fault as well.
fn sync(path: &Path) {
    let synced = File::open(path).and_then(|file| file.sync_data());
    if let Err(error) = synced {
        tracing::debug!(%error, "a file of an export cannot be synced ahead");
    }
}
