//! The command line: one file a command.

mod emulate;
mod send;
mod webhook_secret;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::executor::Registry;

/// Stands between Labelbox's Train model button and your training machines.
#[derive(Debug, Parser)]
#[command(name = "trainhook", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

// Each variant's doc comment is the command's line in `--help`; one file of this folder a variant.
#[derive(Debug, Subcommand)]
enum Command {
    /// Plays Labelbox's side on this machine, for trials without an account
    Emulate(emulate::Args),
    /// Calls a server as Labelbox does, once
    Send(send::Args),
}

/// Runs the command that the arguments name, with the executors of `registry`.
///
/// Exit codes: 0 done, 1 failed, 2 wrong arguments or settings.
#[must_use]
pub fn main_with(_registry: Registry) -> ExitCode {
    match Arguments::parse().command {
        Command::Emulate(arguments) => arguments.run(),
        Command::Send(arguments) => arguments.run(),
    }
}
