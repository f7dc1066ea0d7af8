//! The engine to which an attempt was sent: written before the submit, where no command can change it.

use std::{fs, io, path::PathBuf};

use super::{JobDir, files};
use crate::job::Place;

/// The longest note, in bytes.
const LIMIT: u64 = 16 * 1024;

fn name(attempt: u32) -> String {
    format!("sent-a{attempt}.json")
}

impl JobDir {
    /// Notes that this attempt is about to be sent there; durable when it returns.
    ///
    /// # Errors
    /// When the folder cannot be written, or the note that stands there cannot be read.
    pub fn note_place(&self, attempt: u32, place: &Place) -> io::Result<()> {
        if self.read_place(attempt)?.as_ref() == Some(place) {
            return Ok(());
        }
        let text = serde_json::to_vec(place).map_err(io::Error::other)?;
        fs::create_dir_all(self.server())?;
        files::write_atomic(&self.note_of(attempt), &text)
    }

    /// Where this attempt may have been sent; none if it was not.
    ///
    /// # Errors
    /// When there is a note, and it cannot be read.
    pub fn read_place(&self, attempt: u32) -> io::Result<Option<Place>> {
        match files::read_json(&self.server(), &name(attempt), LIMIT) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read,
        }
    }

    /// Takes the note back: the attempt has not been taken there.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn forget_place(&self, attempt: u32) -> io::Result<()> {
        match fs::remove_file(self.note_of(attempt)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn note_of(&self, attempt: u32) -> PathBuf {
        self.server().join(name(attempt))
    }
}
