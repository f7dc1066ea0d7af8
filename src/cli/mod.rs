//! The command line: one file a command.

mod admin_client;
mod backup;
mod check;
mod conformance;
mod demo;
mod doctor;
mod emulate;
mod event;
mod jobs;
mod logging;
mod plan;
mod reload;
mod reports;
mod send;
mod serve;
mod start;
mod supervise;
mod terminal;
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
    /// Plays the whole circle on this machine, with no account and no settings
    Demo(demo::Args),
    /// Runs the server that Labelbox calls
    Serve(serve::Args),
    /// Says whether a settings file is fine, or all that is wrong with it
    Check(check::Args),
    /// Looks at everything that must be right, also the way from outside
    Doctor(doctor::Args),
    /// Shows what a job of a model would hand to its engine
    Plan(plan::Args),
    /// Tries on an executor whether it keeps what every executor must
    Conformance(conformance::Args),
    /// Lists, shows, follows, cancels and retries jobs
    Jobs(jobs::Args),
    /// Starts a job without the button
    Start(start::Args),
    /// Lists what is owed to Labelbox, sends it again, gives it up
    Reports(reports::Args),
    /// Copies the store's database into one file, while the server runs
    Backup(backup::BackupArgs),
    /// Puts a backup in the place of the store's database
    Restore(backup::RestoreArgs),
    /// Calls a server as Labelbox does, once
    Send(send::Args),
    /// Plays Labelbox's side on this machine, for trials without an account
    Emulate(emulate::Args),
    /// From within a training command: tell its stage, progress, metrics, notes, or why it fails
    Event(event::Args),
    /// Runs one attempt's command and records how it ends; started by executors
    #[command(hide = true)]
    Supervise(supervise::Args),
    /// Copies this program to where a job finds it; started by executors
    #[command(hide = true)]
    CopyProgram(supervise::CopyArgs),
    /// The command's process before it becomes the command; started by supervisors
    #[command(hide = true, name = crate::supervisor::STUB_COMMAND)]
    SuperviseExec(supervise::StubArgs),
}

/// Runs the command that the arguments name, with the executors of `registry`.
///
/// Exit codes: 0 done, 1 failed, 2 wrong arguments or settings.
#[must_use]
pub fn main_with(registry: &Registry) -> ExitCode {
    match Arguments::parse().command {
        Command::Demo(arguments) => arguments.run(registry),
        Command::Serve(arguments) => arguments.run(registry),
        Command::Check(arguments) => arguments.run(registry),
        Command::Doctor(arguments) => arguments.run(registry),
        Command::Plan(arguments) => arguments.run(registry),
        Command::Conformance(arguments) => arguments.run(registry),
        Command::Jobs(arguments) => arguments.run(),
        Command::Start(arguments) => arguments.run(),
        Command::Reports(arguments) => arguments.run(),
        Command::Backup(arguments) => arguments.run(),
        Command::Restore(arguments) => arguments.run(),
        Command::Send(arguments) => arguments.run(),
        Command::Emulate(arguments) => arguments.run(),
        Command::Event(arguments) => arguments.run(),
        Command::Supervise(arguments) => arguments.run(),
        Command::CopyProgram(arguments) => arguments.run(),
        Command::SuperviseExec(arguments) => arguments.run(),
    }
}
