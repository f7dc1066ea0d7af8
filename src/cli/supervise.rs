//! `trainhook supervise`: runs beside a training command. Engines start it, not people.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use crate::supervisor::{become_command, complain, supervise};

/// The arguments of `supervise`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The attempt's folder.
    #[arg(long, value_name = "DIR")]
    job_dir: PathBuf,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        // The command gets paths that hold wherever it runs.
        let job_dir = std::path::absolute(&self.job_dir).unwrap_or(self.job_dir);
        match supervise(&job_dir) {
            Ok(code) => ExitCode::from(code),
            Err(error) => {
                complain(format_args!("{error}"));
                ExitCode::from(error.exit_code())
            }
        }
    }
}

/// The arguments of the stub that becomes the command.
#[derive(Debug, clap::Args)]
pub(super) struct StubArgs {
    /// The supervisor's pid.
    parent: u32,
    /// Program and arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl StubArgs {
    pub(super) fn run(self) -> ExitCode {
        ExitCode::from(become_command(self.parent, &self.command))
    }
}
