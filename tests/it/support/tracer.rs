//! The program under `strace`, which does to system calls what a test wants.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// Writes a script that starts the program; if there is a file `inject`, under a tracer with what stands in it. The
/// file is used once.
pub(crate) fn traced_program(folder: &Path) -> PathBuf {
    let program = env!("CARGO_BIN_EXE_trainhook");
    let script = format!(
        "#!/bin/sh\n\
         [ -e inject ] || exec {program} \"$@\"\n\
         read -r injections < inject; rm inject\n\
         eval exec strace -f -qq -o /dev/null $injections {program} '\"$@\"'\n"
    );
    write_program(folder, "traced", &script)
}

/// Writes a program of the test's own.
pub(crate) fn write_program(folder: &Path, name: &str, script: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, script).expect("the folder is writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    path
}

/// Whether this machine lets processes be traced.
pub(crate) fn can_trace() -> bool {
    let traced = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .status();
    traced.is_ok_and(|status| status.success())
}
