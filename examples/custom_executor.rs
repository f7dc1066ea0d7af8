//! An executor of one's own, on a page: jobs that yield the machine to its people, by way of `nice`.
//!
//! ```toml
//! [executors.desk]
//! kind = "nice"
//! level = 15
//! max_running = 1
//! ```
//!
//! This is the whole `trainhook` program with one kind more; run it as
//! `cargo run --example custom_executor -- serve`.

use std::{path::PathBuf, process::ExitCode, process::Stdio, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{process::Command, sync::Notify, task::block_in_place};
use trainhook::{
    config::Table,
    executor::{
        BuildContext, Built, CancelOutcome, Executor, Found, Launch, QueryError, Registry,
        SubmitError,
    },
    job::{Handle, LaunchId, Observation, Phase},
    job_dir::{AttemptDir, CancelRequest},
    process::{self, ProcessId, Session, Signal},
};

fn main() -> ExitCode {
    trainhook::cli::main_with(&Registry::default().with("nice", build))
}

/// Takes its keys out of the table; what it leaves there is told to the user as a mistake.
fn build(table: &mut Table, context: &BuildContext<'_>) -> Built {
    let level = table.integer("level", 0..20).unwrap_or(10);
    let wake = Arc::clone(&context.wake);
    Ok(Arc::new(Nice { level, wake }))
}

#[derive(Debug)]
struct Nice {
    level: u32,
    wake: Arc<Notify>,
}

/// The version of [`Place`]: whoever changes it counts on, so that handles of before are known as such.
const HANDLE_VERSION: u32 = 1;

/// What finds an attempt again after a restart of the server: it is kept in the store.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    boot_id: String,
    supervisor: ProcessId,
    attempt_dir: PathBuf,
}

#[async_trait::async_trait]
impl Executor for Nice {
    async fn submit(&self, launch: &Launch) -> Result<Handle, SubmitError> {
        // The server's environment may hold its secrets, so a job gets none of it unasked.
        let mut command = Command::new("nice");
        command
            .args(["-n", &self.level.to_string()])
            .args(&launch.argv)
            .env_clear();
        command.envs(
            ["PATH", "HOME"]
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        );
        command.envs(
            launch
                .env
                .iter()
                .map(|(name, value)| (name, value.expose())),
        );
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Nothing was started, so the server may simply try again.
        let spawned = command
            .spawn()
            .map_err(|error| SubmitError::Transient(error.to_string()));
        let mut supervisor = spawned?;
        let pid = supervisor.id().unwrap_or_default();
        let id = ProcessId::of(pid)
            .ok_or_else(|| SubmitError::Ambiguous(format!("process {pid} is gone")))?;
        let wake = Arc::clone(&self.wake);
        tokio::spawn(async move {
            // How it ended stands in the exit record; here it only leaves the table of processes.
            let _status = supervisor.wait().await;
            wake.notify_one();
        });
        pack(launch.id, id, launch.attempt_dir.clone())
    }

    async fn find(&self, _launch: &Launch) -> Result<Found, QueryError> {
        // A process that was just spawned may not be seen yet. The server then submits again, which
        // is harmless: only the supervisor that wins the attempt's claim runs the command.
        Ok(Found::Unknowable)
    }

    async fn observe(&self, handles: &[Handle]) -> Vec<Result<Observation, QueryError>> {
        let look = |handle: &Handle| observe(handle.launch_id, &unpack(handle)?);
        block_in_place(|| handles.iter().map(look).collect())
    }

    async fn cancel(&self, handle: &Handle, grace: Duration) -> Result<CancelOutcome, QueryError> {
        let place = unpack(handle)?;
        if !place.is_running()? {
            return Ok(CancelOutcome::AlreadyEnded);
        }
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let reason = "cancelled by the server".to_owned();
        let request = CancelRequest { grace_ms, reason };
        AttemptDir::at(place.attempt_dir)
            .request_cancel(&request)
            .map_err(unanswered)?;
        Ok(CancelOutcome::Requested)
    }

    async fn cleanup(&self, handle: &Handle) -> Result<(), QueryError> {
        for process in unpack(handle)?.processes(handle.launch_id) {
            process::kill(process, Signal::KILL).map_err(unanswered)?;
        }
        Ok(())
    }

    fn settle(&self) -> Duration {
        // The machine itself says that a process is gone: there is nothing to wait for.
        Duration::ZERO
    }

    fn poll_interval(&self) -> Duration {
        Duration::from_secs(1)
    }
}

impl Place {
    /// A supervisor holds its folder's lock for as long as it lives; before it, its process is there.
    fn is_running(&self) -> Result<bool, QueryError> {
        let dir = AttemptDir::at(self.attempt_dir.clone());
        Ok(self.supervisor.is_alive() || dir.is_locked().map_err(unanswered)?)
    }

    /// What outlived the supervisor.
    fn processes(&self, launch_id: LaunchId) -> Vec<ProcessId> {
        process::processes_of(&Session::new(self.supervisor, Duration::ZERO), launch_id)
    }
}

fn observe(launch_id: LaunchId, place: &Place) -> Result<Observation, QueryError> {
    let is_of_this_boot = place.boot_id == process::boot_id();
    let is_running = is_of_this_boot && place.is_running()?;
    Ok(Observation {
        phase: if is_running {
            Phase::Running
        } else {
            Phase::Gone
        },
        reason: None,
        leftovers: is_of_this_boot && !is_running && !place.processes(launch_id).is_empty(),
    })
}

fn pack(
    launch_id: LaunchId,
    supervisor: ProcessId,
    attempt_dir: PathBuf,
) -> Result<Handle, SubmitError> {
    let place = Place {
        boot_id: process::boot_id(),
        supervisor,
        attempt_dir,
    };
    Ok(Handle::pack(launch_id, HANDLE_VERSION, &place)?)
}

fn unpack(handle: &Handle) -> Result<Place, QueryError> {
    Ok(handle.unpack(HANDLE_VERSION)?)
}

/// Not to know is never an outcome: the server asks again.
fn unanswered(error: impl std::fmt::Display) -> QueryError {
    QueryError(error.to_string())
}
