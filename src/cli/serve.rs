//! `trainhook serve`: the server, until somebody stops it.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use tokio::{signal::unix::Signal, sync::watch};

use super::{check, logging::LogFormat, reload};
use crate::{
    config::{self, Config, ExecutorEntry},
    executor::Registry,
    recording::Recorder,
    server::{Server, StartError},
};

/// Runs the server until SIGTERM or SIGINT; training jobs go on without it. SIGHUP reads the settings again.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Jobs outlive the server: stop it, replace it, start it again, and it finds them."
)]
pub(super) struct Args {
    /// The settings.
    #[arg(long, value_name = "FILE", default_value = "models.toml")]
    config: PathBuf,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Keep all that is exchanged with Labelbox in a file in this folder, for a report about a bug. Secrets are left out;
    /// names, metadata and messages of your runs are not.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self, registry: &Registry) -> ExitCode {
        self.log_format.install();
        let (config, executors) = match read(&self.config, registry) {
            Ok(read) => read,
            Err(code) => return code,
        };
        harden();
        let recorder = match self.record.as_deref().map(record).transpose() {
            Ok(recorder) => recorder,
            Err(code) => return code,
        };
        let runtime = match tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
        {
            Ok(runtime) => runtime,
            Err(error) => return fail(&format!("cannot start threads: {error}")),
        };
        let served = runtime.block_on(async {
            // Before anything else: a signal that comes while the server starts is not lost.
            let signals = (stop_signal(), reload::hangups());
            let server = Server::start(config, executors, registry).await?;
            let server = match recorder {
                Some(recorder) => server.recorded_by(recorder),
                None => server,
            };
            serve(&self.config, server, registry, signals).await;
            Ok(())
        });
        // What still waits in blocking calls may not hold up the end; everything acknowledged is on disk.
        runtime.shutdown_background();
        match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(StartError::Executors(mistakes)) => {
                check::print_mistakes(&self.config, &mistakes.0);
                ExitCode::from(2)
            }
            Err(error @ StartError::Secret { .. }) => {
                fail(&error.to_string());
                ExitCode::from(2)
            }
            Err(error) => fail(&error.to_string()),
        }
    }
}

fn read(file: &Path, registry: &Registry) -> Result<(Config, Vec<ExecutorEntry>), ExitCode> {
    let parsed = config::read(file).map_err(|error| {
        fail(&error.to_string());
        ExitCode::from(2)
    })?;
    match parsed.config {
        Some(config) => Ok((config, parsed.executors)),
        None => Err(check::refuse(file, parsed, registry)),
    }
}

async fn serve(
    file: &Path,
    server: Server,
    registry: &Registry,
    (shutdown, hangups): (watch::Receiver<bool>, std::io::Result<Signal>),
) {
    let addresses = server.addresses();
    let scheme = server.scheme();
    tracing::info!(
        "listening for Labelbox on {scheme}://{}, for people on http://{}",
        addresses.labelbox,
        addresses.admin
    );
    if let Some(jobs) = addresses.jobs {
        tracing::info!("listening for supervisors on {jobs}");
    }
    match hangups {
        Ok(hangups) => {
            let (file, settings) = (file.to_owned(), server.settings());
            let reloads = reload::reload_at_each(hangups, file, settings, registry.clone());
            tokio::spawn(reloads);
        }
        Err(error) => tracing::error!("SIGHUP will not reload the settings: {error}"),
    }
    server.run(shutdown).await;
    tracing::info!("stopped; jobs that run go on, and the next start finds them");
}

fn record(folder: &Path) -> Result<Recorder, ExitCode> {
    let begun = Recorder::start(folder).map_err(|error| {
        let folder = folder.display();
        fail(&format!("cannot record exchanges in {folder}: {error}"))
    })?;
    let (recorder, file) = begun;
    tracing::warn!(file = %file.display(), "all that is exchanged with Labelbox is recorded, without secrets");
    Ok(recorder)
}

/// Turns true at the first SIGTERM or SIGINT.
pub(super) fn stop_signal() -> watch::Receiver<bool> {
    use tokio::signal::unix::{SignalKind, signal};
    let (stop, stopped) = watch::channel(false);
    let signals = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    tokio::spawn(async move {
        let [Ok(mut terminate), Ok(mut interrupt)] = signals else {
            tracing::error!("cannot listen for signals: only SIGKILL will stop this server");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.send_replace(true);
        stop.closed().await;
    });
    stopped
}

/// What we write is ours alone, and nobody may look into our memory, where the secrets are.
fn harden() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    #[cfg(target_os = "linux")]
    if let Err(error) =
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
    {
        tracing::warn!("other programs of this user may read the server's memory: {error}");
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("trainhook: {message}");
    ExitCode::FAILURE
}
