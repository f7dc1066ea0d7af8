//! The program under `strace`, which does to system calls what a test wants.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::script::write_program;

/// Writes a script that starts the program; if there is a file `inject`, under a tracer with what stands in it. The
/// file is used once.
pub(crate) fn traced_program(folder: &Path) -> PathBuf {
    let program = env!("CARGO_BIN_EXE_trainhook");
    let script = format!(
        "[ -e inject ] || exec {program} \"$@\"\n\
         read -r injections < inject; rm inject\n\
         eval exec strace -f -qq -o /dev/null $injections {program} '\"$@\"'\n"
    );
    write_program(folder, "traced", &script)
}

/// Whether this machine lets processes be traced.
pub(crate) fn can_trace() -> bool {
    let traced = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .status();
    traced.is_ok_and(|status| status.success())
}
