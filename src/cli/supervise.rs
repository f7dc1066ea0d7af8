//! `trainhook supervise`: runs beside a training command. Engines start it, not people.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use crate::{
    config::SecretRef,
    job::LaunchId,
    mirror::TOKEN_VARIABLE,
    process::ProcessId,
    supervisor::{
        Mirrored, SuperviseError, become_command, complain, supervise, supervise_mirrored,
        take_sent_variables,
    },
};

/// The arguments of `supervise`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The attempt's folder, where the server's files are here, too.
    #[arg(long, value_name = "DIR", required_unless_present = "mirror")]
    job_dir: Option<PathBuf>,
    /// The server's address for supervisors that have not its files.
    #[arg(
        long,
        value_name = "URL",
        requires = "launch",
        conflicts_with = "job_dir"
    )]
    mirror: Option<String>,
    /// The launch.
    #[arg(long, value_name = "ID", requires = "mirror")]
    launch: Option<LaunchId>,
    /// The file that holds the launch's token; else it is in TRAINHOOK_MIRROR_TOKEN.
    #[arg(long, value_name = "FILE", requires = "mirror")]
    token_file: Option<PathBuf>,
    /// The folder below which a job directory is made; else in TMPDIR, or the user's cache.
    #[arg(long, value_name = "DIR", requires = "mirror")]
    work_dir: Option<PathBuf>,
    /// The engine's process that stands for the attempt: when it ends, the command is stopped.
    #[arg(long, value_name = "PID")]
    keeper: Option<u32>,
    /// Variables that nobody may see come by standard input, as one line of JSON.
    #[arg(long)]
    env_stdin: bool,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        match self.supervise() {
            Ok(code) => ExitCode::from(code),
            Err(error) => {
                complain(format_args!("{error}"));
                ExitCode::from(error.exit_code())
            }
        }
    }

    fn supervise(self) -> Result<u8, SuperviseError> {
        if self.env_stdin {
            return Err(take_sent_variables());
        }
        let living = |pid| ProcessId::of(pid).ok_or(SuperviseError::KeeperLost(pid));
        let keeper = self.keeper.map(living).transpose()?;
        let (Some(url), Some(launch_id)) = (self.mirror, self.launch) else {
            let job_dir = self.job_dir.unwrap_or_default();
            // The command gets paths that hold wherever it runs.
            let job_dir = std::path::absolute(&job_dir).unwrap_or(job_dir);
            return supervise(&job_dir, keeper);
        };
        let token = self.token_file.map_or_else(
            || SecretRef::Env(TOKEN_VARIABLE.to_owned()),
            SecretRef::File,
        );
        let token = token.read().map_err(SuperviseError::Token)?;
        supervise_mirrored(Mirrored {
            url,
            launch_id,
            token,
            work_dir: self.work_dir,
            keeper,
        })
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

/// The arguments of the copy: an image that holds this program alone has no other to copy it with.
#[derive(Debug, clap::Args)]
pub(super) struct CopyArgs {
    /// The new file.
    target: PathBuf,
}

impl CopyArgs {
    pub(super) fn run(self) -> ExitCode {
        // The permission to run it is copied, too.
        let own = std::env::current_exe();
        match own.and_then(|own| std::fs::copy(own, &self.target)) {
            Ok(_) => ExitCode::SUCCESS,
            Err(error) => {
                let target = self.target.display();
                complain(format_args!("cannot copy the program to {target}: {error}"));
                ExitCode::FAILURE
            }
        }
    }
}
