//! What no job may have: trainhook's own secrets, and its own files.

use std::path::{Path, PathBuf};

use super::Found;
use crate::config::{EnvValue, Mistake, ModelEntry, SecretRef, ServerConfig, Workspace};

/// No job is given trainhook's own files.
pub(super) fn own_files_in_jobs(
    models: &[Found<ModelEntry>],
    workspaces: &[Found<Workspace>],
    server: &ServerConfig,
) -> Vec<Mistake> {
    let secrets = workspaces.iter().flat_map(|found| {
        let workspace = &found.value;
        workspace.webhook_secrets.iter().chain([&workspace.api_key])
    });
    let secrets = secrets.filter_map(|secret| match secret {
        SecretRef::File(path) => Some(path.as_path()),
        SecretRef::Env(_) => None,
    });
    let folders = [server.state_dir.as_path(), server.jobs_dir.as_path()];
    let own: Vec<&Path> = secrets.chain(folders).collect();
    let mut mistakes = Vec::new();
    for Found { line, value: model } in models {
        let taken = model.files.iter().map(|entry| model.workdir.join(entry));
        // `.` between two names is none.
        let taken = taken.map(|path| path.components().collect::<PathBuf>());
        let hit = |path: PathBuf| own.iter().copied().find(|own| own.starts_with(&path));
        if let Some(own) = taken.filter_map(hit).next() {
            mistakes.push(Mistake {
                line: *line,
                key: format!("models.{}.files", model.slug),
                text: format!("would copy {}, which no job may see", own.display()),
            });
        }
    }
    mistakes
}

/// trainhook's own secrets never enter a job's environment.
pub(super) fn own_secrets_in_jobs(
    models: &[Found<ModelEntry>],
    workspaces: &[Found<Workspace>],
) -> Vec<Mistake> {
    let own = |workspace: &Workspace| {
        let references = workspace.webhook_secrets.iter().chain([&workspace.api_key]);
        references.cloned().collect::<Vec<_>>()
    };
    let own: Vec<SecretRef> = workspaces
        .iter()
        .flat_map(|found| own(&found.value))
        .collect();
    let mut mistakes = Vec::new();
    for Found { line, value: model } in models {
        let passed = model
            .env_pass
            .iter()
            .filter(|name| own.contains(&SecretRef::Env((*name).clone())));
        let secrets = model.env.iter().filter_map(|(name, value)| match value {
            EnvValue::Secret(reference) if own.contains(reference) => Some(name),
            _ => None,
        });
        for name in passed.chain(secrets) {
            mistakes.push(Mistake {
                line: *line,
                key: format!("models.{}", model.slug),
                text: format!(
                    "{name} is a secret of trainhook's own, which no job may see: take it out"
                ),
            });
        }
    }
    mistakes
}
