//! Programs of a test's own, in a few lines of sh.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// Reads the lines that lie beside it, under the name by which it was called.
const READER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/script.sh");

/// Makes a program of these lines, or gives it other lines. Nothing that is executed is ever written: Linux refuses to
/// execute a file as long as anybody may write to it, and a process that another test forks meanwhile may.
pub(crate) fn write_program(folder: &Path, name: &str, lines: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(folder.join(format!("{name}.sh")), lines).expect("the folder is writable");
    match symlink(READER, &path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        linked => linked.expect("the folder is writable"),
    }
    path
}
