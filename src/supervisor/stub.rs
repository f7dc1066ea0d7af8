//! The first moments of the command's process, before it becomes the program: it binds its life to the supervisor's, and
//! gives back what shields the server when memory runs out.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    os::unix::process::CommandExt,
    process::Command,
};

/// The hidden subcommand of this program that a supervisor starts in the command's place.
pub const STUB_COMMAND: &str = "supervise-exec";

/// The exit code when the program cannot be executed, as shells have it.
const CANNOT_EXECUTE: u8 = 127;

/// Becomes `command` (a program and its arguments) unless the supervisor `parent` is gone; from then
/// on the kernel kills it when the supervisor dies. Answers with an exit code only if it failed.
#[must_use]
pub fn become_command(parent: u32, command: &[OsString]) -> u8 {
    let Some((program, arguments)) = command.split_first() else {
        return CANNOT_EXECUTE;
    };
    leave_shield();
    let outcome = bind_to(parent).map(|()| Command::new(program).args(arguments).exec());
    let error = outcome.unwrap_or_else(|error| error);
    let program = program.to_string_lossy();
    // Nobody is left to tell when even this cannot be written.
    let _ = writeln!(io::stderr(), "cannot start {program}: {error}");
    CANNOT_EXECUTE
}

/// The order matters: a supervisor that dies before the first line leaves us another parent, one that dies after it ends us.
fn bind_to(parent: u32) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    if std::os::unix::process::parent_id() == parent {
        Ok(())
    } else {
        Err(io::Error::other("its supervisor is gone"))
    }
}

/// A service may be among the last that the kernel ends when memory runs out (`OOMScoreAdjust`); a training must not be,
/// or the rest of the machine goes first.
fn leave_shield() {
    let own = "/proc/self/oom_score_adj";
    let score = fs::read_to_string(own).unwrap_or_default();
    if score.trim().parse().is_ok_and(|score: i32| score < 0) {
        // Where that is refused, the kernel still chooses by size.
        let _ = fs::write(own, "0");
    }
}
