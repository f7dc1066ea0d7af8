//! Files that are read for as long as somebody wants it.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The lines of a file; none if there is none.
pub(super) fn lines(file: Option<File>, stopped: &Arc<AtomicBool>) -> Box<dyn BufRead> {
    match file {
        Some(file) => Box::new(BufReader::with_capacity(
            64 * 1024,
            Stoppable {
                file,
                stopped: Arc::clone(stopped),
            },
        )),
        None => Box::new(io::empty()),
    }
}

/// A file that cannot be read on once nobody wants it.
struct Stoppable {
    file: File,
    stopped: Arc<AtomicBool>,
}

impl Read for Stoppable {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(io::Error::other("stopped"));
        }
        self.file.read(buffer)
    }
}
