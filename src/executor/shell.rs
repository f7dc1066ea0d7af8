//! Words and variables for engines that run their jobs by way of a shell.
//!
//! Such an engine shows a script or a command to others. So variables, which may hold secrets, go into a file of the
//! attempt's folder that only its owner can read, and that the job removes as it begins.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::{config::Secret, job_dir::files};

/// A word that the shell takes as it is.
pub(super) fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The same for people to read: plain words stay plain.
pub(super) fn quoted_if_needed(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => quote(word),
    }
}

/// Variables in the language of the shell.
pub(super) fn exports(env: &BTreeMap<String, Secret>) -> String {
    let mut text = String::new();
    for (name, value) in env {
        let _infallible = writeln!(text, "export {name}={}", quote(value.expose()));
    }
    text
}

/// Lines that take the variables over from their file. A second start of the same job finds no file, and ends there.
pub(super) fn take_variables(file: &Path) -> String {
    let file = quote(&file.to_string_lossy());
    format!(". {file} || exit 92\nrm -f {file}\n")
}

/// Writes the file, which only we can read; whoever reads it meanwhile sees the whole of it.
///
/// # Errors
/// When its folder cannot be written.
pub(super) fn write_variables(file: &Path, env: &BTreeMap<String, Secret>) -> io::Result<()> {
    let unique = uuid::Uuid::new_v4().simple();
    let draft = file.with_added_extension(unique.to_string());
    let mut written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    written.write_all(exports(env).as_bytes())?;
    written.sync_all()?;
    fs::rename(draft, file)?;
    file.parent().map_or(Ok(()), files::sync_dir)
}

/// Removes the file of a job that never began.
pub(super) async fn remove_variables(file: PathBuf) {
    // It is not there if the job has begun.
    let _ = tokio::task::spawn_blocking(move || fs::remove_file(file)).await;
}
