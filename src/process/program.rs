//! Whether a program is there to be started.

use std::path::Path;

use rustix::fs::{Access, access};

/// Where programs are looked for by those whose environment says nothing of it.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Looks for a program as a shell in `workdir` would: by its path from there if it has a slash, else in `PATH`.
///
/// # Errors
/// What is wrong and what to do, for people. `PATH` itself is not in it: it would fill whatever the message must fit.
pub fn find_program(program: &str, workdir: &Path) -> Result<(), String> {
    if program.is_empty() {
        return Err("the program's name is empty".to_owned());
    }
    if program.contains('/') {
        return check_file(&workdir.join(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| USUAL_PATH.into());
    let found = std::env::split_paths(&path)
        .map(|folder| workdir.join(folder).join(program))
        .any(|candidate| check_file(&candidate).is_ok());
    found.then_some(()).ok_or_else(|| {
        "not found in PATH: install it on this machine, or name its full path".to_owned()
    })
}

fn check_file(path: &Path) -> Result<(), String> {
    let shown = path.display();
    if !path.exists() {
        return Err(format!("there is no {shown}"));
    }
    if !path.is_file() {
        return Err(format!("{shown} is no file"));
    }
    access(path, Access::EXEC_OK).map_err(|_| {
        format!("{shown} is not executable: run `chmod +x` on it, or name its interpreter first")
    })
}
