//! The first moments of the command's process, before it becomes the program: it binds its life to the supervisor's.

use std::{
    ffi::OsString,
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
