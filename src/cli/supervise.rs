//! `trainhook supervise`: runs beside a training command. Engines start it, not people.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use crate::supervisor::{SuperviseError, become_command, supervise, supervise_with_sent_variables};

/// The arguments of `supervise`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The attempt's folder.
    #[arg(long, value_name = "DIR")]
    job_dir: PathBuf,
    /// The variables come by standard input, in one line of JSON.
    #[arg(long)]
    env_stdin: bool,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        // The command gets paths that hold wherever it runs.
        let job_dir = std::path::absolute(&self.job_dir).unwrap_or(self.job_dir);
        let supervised = match self.env_stdin {
            false => supervise(&job_dir),
            true => Err(SuperviseError::Broken {
                doing: "take over the variables",
                source: supervise_with_sent_variables(&job_dir),
            }),
        };
        match supervised {
            Ok(code) => ExitCode::from(code),
            Err(error) => {
                eprintln!("{error}");
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
