//! `trainhook backup` and `trainhook restore`: the store's database in one file, and back.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use jiff::Timestamp;

use super::terminal::say;
use crate::{
    config::{self, Config},
    store::Store,
};

/// Copies the store's database into one file, while the server runs or not.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The copy is whole when the command ends; an older FILE is replaced only then. It holds the key of \
                  the jobs' tokens, too: keep it to yourself. Job directories are not part of it: back jobs_dir up by your own means, if at all."
)]
pub(super) struct BackupArgs {
    /// The copy; only its owner can read it.
    file: PathBuf,
    /// The settings.
    #[arg(long, value_name = "FILE", default_value = "models.toml")]
    config: PathBuf,
}

/// Puts a backup in the place of the store's database; the server must not run.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "At its next start the server looks into jobs_dir for what has happened since the backup: jobs \
                  that have begun are followed, not started again."
)]
pub(super) struct RestoreArgs {
    /// What `trainhook backup` has written.
    file: PathBuf,
    /// The settings.
    #[arg(long, value_name = "FILE", default_value = "models.toml")]
    config: PathBuf,
}

impl BackupArgs {
    pub(super) fn run(self) -> ExitCode {
        let Some(config) = read(&self.config) else {
            return ExitCode::from(2);
        };
        match Store::backup(&config.server.state_dir, &self.file, Timestamp::now()) {
            Ok(()) => {
                say(&format!("the store is copied to {}", self.file.display()));
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error),
        }
    }
}

impl RestoreArgs {
    pub(super) fn run(self) -> ExitCode {
        let Some(config) = read(&self.config) else {
            return ExitCode::from(2);
        };
        let state_dir = &config.server.state_dir;
        match Store::restore(state_dir, &self.file, Timestamp::now()) {
            Ok(moved) => {
                say(&format!(
                    "{} is the store of {} now",
                    self.file.display(),
                    state_dir.display()
                ));
                if let Some(moved) = moved {
                    say(&format!("the one before is kept as {}", moved.display()));
                }
                say("start the server: it finds what has happened since the backup");
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error),
        }
    }
}

fn read(file: &Path) -> Option<Config> {
    let read = config::read(file).map_err(|error| eprintln!("trainhook: {error}"));
    let config = read.ok()?.config;
    if config.is_none() {
        eprintln!(
            "trainhook: {} has mistakes: see `trainhook check`",
            file.display()
        );
    }
    config
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("trainhook: {error}");
    ExitCode::FAILURE
}
