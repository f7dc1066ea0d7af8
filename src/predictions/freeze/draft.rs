//! What was frozen, until it is certain that it will be sent.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{job_dir::files, predictions::Frozen};

/// Frozen predictions that are not yet where a restart finds them.
#[derive(Debug)]
pub struct Draft {
    /// What was frozen.
    pub frozen: Frozen,
    folder: PathBuf,
    server: PathBuf,
}

impl Draft {
    /// An empty folder for what is to be frozen in the job's `server` folder; what an earlier try left there is gone.
    pub(in crate::predictions) fn folder(server: &Path) -> io::Result<PathBuf> {
        let folder = server.join("upload.new");
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir(&folder)?,
        }
        Ok(folder)
    }

    pub(in crate::predictions) fn new(frozen: Frozen, folder: PathBuf, server: &Path) -> Self {
        Self {
            frozen,
            folder,
            server: server.to_owned(),
        }
    }

    /// Puts them in their place, durably: from here on they are what is sent, whatever happens. Only where nothing is
    /// frozen yet.
    ///
    /// # Errors
    /// As the file system says.
    pub fn keep(self) -> io::Result<Frozen> {
        if let Err(error) = self.frozen.write(&self.folder) {
            // Another try begins anew; without one, nobody else would remove it.
            let _ = fs::remove_dir_all(&self.folder);
            return Err(error);
        }
        let place = Frozen::folder(&self.server);
        match fs::remove_dir_all(&place) {
            // The rest of one whose removal was interrupted.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::rename(&self.folder, place)?,
        }
        files::sync_dir(&self.server)?;
        Ok(self.frozen)
    }

    /// Removes them; the list of what was rejected stays.
    ///
    /// # Errors
    /// As the file system says.
    pub fn discard(self) -> io::Result<Frozen> {
        fs::remove_dir_all(&self.folder)?;
        Ok(self.frozen)
    }
}
