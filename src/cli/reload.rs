//! SIGHUP: the settings are read again. A file with mistakes changes nothing, and says so.

use std::path::PathBuf;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::check;
use crate::{
    config::{self, Config},
    executor::Registry,
    server::{Kept, Settings},
};

/// The signals, from now on: one that comes before the server is ready is not lost, and does not end it.
pub(super) fn hangups() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Reads `file` again at each signal, for ever.
pub(super) async fn reload_at_each(
    mut hangups: Signal,
    file: PathBuf,
    settings: Settings,
    registry: Registry,
) {
    while hangups.recv().await.is_some() {
        let (file, registry, settings) = (file.clone(), registry.clone(), settings.clone());
        // Secrets and settings are files, and executors may ask their engines about their tables.
        let reloaded = tokio::task::spawn_blocking(move || reload(file, &settings, &registry));
        if reloaded.await.is_err() {
            tracing::error!("the settings stay as they were: reading them again failed");
        }
    }
}

fn reload(file: PathBuf, settings: &Settings, registry: &Registry) {
    let keep = |reason: String| tracing::error!("the settings stay as they were: {reason}");
    let parsed = match config::read(&file) {
        Ok(parsed) => parsed,
        Err(error) => return keep(error.to_string()),
    };
    let (config, mistakes, warnings) = check::judge(parsed, registry);
    for mistake in &mistakes {
        tracing::error!("{}: {mistake}", file.display());
    }
    let Some(config) = config else {
        let (count, file) = (mistakes.len(), file.display());
        return keep(format!("{file} has mistakes ({count})"));
    };
    let models = titles(&config);
    match settings.replace(config) {
        Err(error) => keep(error.to_string()),
        Ok(kept) => {
            for warning in warnings {
                tracing::warn!("{warning}");
            }
            let waiting = match kept.is_empty() {
                true => String::new(),
                false => format!("; waits for a restart: {}", names(&kept)),
            };
            for kept in kept {
                tracing::warn!("{kept}: it is taken over by a restart, which jobs outlive");
            }
            tracing::info!("the settings were read again; models: {models}{waiting}");
        }
    }
}

/// What is kept, without why.
fn names(kept: &[Kept]) -> String {
    let names = kept.iter().map(|kept| kept.key.as_str());
    names.collect::<Vec<_>>().join(", ")
}

fn titles(config: &Config) -> String {
    let titles = config.models.iter().map(|model| model.title.as_str());
    titles.collect::<Vec<_>>().join(", ")
}
