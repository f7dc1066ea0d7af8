//! Slurm, by way of its commands: `sbatch`, `squeue`, `scancel`, `sacct`.
//!
//! A job's number is used again after a crash of the controller, so it names nobody: everything is asked and ended by
//! the launch id, which is the job's name, and by our own user. A finished job is forgotten within minutes, and without
//! accounting for good; the exit record is the truth then.

mod commands;
mod handle;
mod jobs;
mod options;
mod script;
mod states;
mod submit;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    BuildContext, Built, CancelOutcome, Executor, Found, Launch, QueryError, SubmitError, shell,
    wish::wish_cancel_in,
};
use crate::{
    config::{SendsProgram, Supervisor, Table},
    job::{Handle, HandleError, Observation},
    job_dir::files,
};
use commands::Commands;
use handle::SlurmHandle;
use jobs::Jobs;
use options::Options;

/// Bytes shown of what a supervisor had to say.
const ENGINE_LOG_LIMIT: u64 = 64 * 1024;

/// The queue is asked no more often, whatever happens, if the table does not say.
const POLL_PAUSE: Duration = Duration::from_secs(2);

/// Folders of jobs, and the file with their variables, are the server's own.
const ANOTHER_USER: &str = "behind its command_prefix Slurm's commands run as another user than the server, who cannot read \
                            the folders of jobs: set shared_files = false";

/// Builds it from its table. Asks nothing of Slurm.
///
/// # Errors
/// What is wrong with the table.
pub fn build(table: &mut Table, context: &BuildContext<'_>) -> Built {
    let commands = Commands::from_table(table, context.folder);
    let options = Options::from_table(table);
    let supervisor = table.supervisor(Supervisor::Shared, SendsProgram::No);
    let shares_files = table.boolean("shared_files").unwrap_or(true);
    let work_dir = table.string("work_dir").map(PathBuf::from);
    if work_dir
        .as_ref()
        .is_some_and(|folder| shares_files || !folder.is_absolute())
    {
        let text = "must be an absolute path, and is of use only with shared_files = false";
        table.mistake("work_dir", text);
    }
    Ok(Arc::new(SlurmExecutor {
        commands,
        options,
        program: match supervisor {
            Supervisor::Path(path) => Some(path),
            Supervisor::Shared | Supervisor::Sent => None,
        },
        shares_files,
        work_dir,
        pause: table.duration("poll_pause").unwrap_or(POLL_PAUSE),
    }))
}

/// Runs launches as jobs of a Slurm cluster.
#[derive(Debug)]
pub struct SlurmExecutor {
    commands: Commands,
    options: Options,
    program: Option<PathBuf>,
    shares_files: bool,
    work_dir: Option<PathBuf>,
    pause: Duration,
}

#[async_trait]
impl Executor for SlurmExecutor {
    async fn submit(&self, launch: &Launch) -> Result<Handle, SubmitError> {
        let submission = self.submission(launch)?;
        submission.write_environment().await?;
        let job_id = self.commands.sbatch(submission).await?;
        let handle = SlurmHandle::new(job_id, self.shared_folder(launch));
        Ok(handle.pack(launch.id)?)
    }

    async fn find(&self, launch: &Launch) -> Result<Found, QueryError> {
        let name = launch.id.to_string();
        let jobs = self
            .commands
            .jobs(&BTreeMap::from([(name.clone(), None)]))
            .await?;
        let folder = self.shared_folder(launch);
        let handle =
            |job_id: &str| SlurmHandle::new(job_id.to_owned(), folder.clone()).pack(launch.id);
        let handles: Result<Vec<Handle>, HandleError> = jobs.ids_of(&name).map(handle).collect();
        Ok(match handles? {
            // Slurm forgets what has ended, and is late to tell its accounting a name: nothing seen is nothing known.
            none if none.is_empty() => Found::Unknowable,
            handles => Found::Attempts(handles),
        })
    }

    async fn observe(&self, handles: &[Handle]) -> Vec<Result<Observation, QueryError>> {
        let unpacked: Vec<_> = handles.iter().map(SlurmHandle::unpack).collect();
        let mut names = BTreeMap::new();
        for (handle, unpacked) in handles.iter().zip(&unpacked) {
            if let Ok(unpacked) = unpacked {
                names.insert(handle.launch_id.to_string(), Some(unpacked.submitted_at));
            }
        }
        let seen = self.commands.jobs(&names).await;
        let look = |(handle, unpacked): (&Handle, Result<SlurmHandle, HandleError>)| {
            let job_id = unpacked?.job_id;
            let jobs = seen.as_ref().map_err(Clone::clone)?;
            jobs.observe(&handle.launch_id.to_string(), &job_id)
        };
        handles.iter().zip(unpacked).map(look).collect()
    }

    async fn cancel(&self, handle: &Handle, grace: Duration) -> Result<CancelOutcome, QueryError> {
        let unpacked = SlurmHandle::unpack(handle)?;
        let (jobs, name) = (
            self.jobs_of(handle, &unpacked).await?,
            handle.launch_id.to_string(),
        );
        if jobs.are_over(&name)? {
            return Ok(CancelOutcome::AlreadyEnded);
        }
        if grace.is_zero() {
            self.commands.scancel(&[], &name).await?;
            return Ok(CancelOutcome::Requested);
        }
        if let Some(folder) = unpacked.attempt_dir {
            wish_cancel_in(folder, grace).await?;
        }
        // What waits has no supervisor yet; what runs has one, which measures the grace.
        self.commands.scancel(&["--state=PENDING"], &name).await?;
        self.commands
            .scancel(&["--batch", "--signal=TERM"], &name)
            .await?;
        Ok(CancelOutcome::Requested)
    }

    async fn cleanup(&self, handle: &Handle) -> Result<(), QueryError> {
        let unpacked = SlurmHandle::unpack(handle)?;
        let (jobs, name) = (
            self.jobs_of(handle, &unpacked).await?,
            handle.launch_id.to_string(),
        );
        if !jobs.are_over(&name)? {
            self.commands.scancel(&[], &name).await?;
            return Err(QueryError("Slurm has not ended it yet".to_owned()));
        }
        if let Some(folder) = unpacked.attempt_dir {
            shell::remove_variables(folder.join(script::ENVIRONMENT)).await;
        }
        Ok(())
    }

    fn check_model(&self, table: &mut Table) {
        let _checked = Options::from_table(table);
    }

    async fn plan(&self, launch: &Launch) -> Result<String, SubmitError> {
        let submission = self.submission(launch)?;
        Ok(submission.describe(&self.commands.line("sbatch")))
    }

    async fn check(&self) -> Result<String, QueryError> {
        if self.shares_files && !self.commands.run_as_we_do().await? {
            return Err(QueryError(ANOTHER_USER.to_owned()));
        }
        self.commands.check(self.options.partition.as_deref()).await
    }

    async fn engine_log(&self, handle: &Handle) -> Option<String> {
        let folder = SlurmHandle::unpack(handle).ok()?.attempt_dir?;
        let read = move || files::read_untrusted(&folder, "supervisor.log", ENGINE_LOG_LIMIT);
        let text = tokio::task::spawn_blocking(read).await.ok()?.ok()??;
        Some(String::from_utf8_lossy(&text).into_owned())
    }

    fn shares_files(&self) -> bool {
        self.shares_files
    }

    fn program(&self) -> Option<PathBuf> {
        self.program.clone()
    }

    fn poll_pause(&self) -> Duration {
        self.pause
    }
}

impl SlurmExecutor {
    /// The attempt's folder, where nodes see it.
    fn shared_folder(&self, launch: &Launch) -> Option<PathBuf> {
        self.shares_files.then(|| launch.attempt_dir.clone())
    }

    async fn jobs_of(&self, handle: &Handle, unpacked: &SlurmHandle) -> Result<Jobs, QueryError> {
        let name = handle.launch_id.to_string();
        let names = BTreeMap::from([(name, Some(unpacked.submitted_at))]);
        self.commands.jobs(&names).await
    }
}
