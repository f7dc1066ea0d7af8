//! Where a command finds the webhook secret: command lines are seen by everyone on the machine, so it is
//! never an argument itself.

use std::path::{Path, PathBuf};

use crate::config::{self, Mistake, ReadError, Secret, SecretError, SecretRef, Workspace};

/// The options that name a place.
#[derive(Debug, clap::Args)]
pub(super) struct SecretPlace {
    #[command(flatten)]
    source: Source,
    /// The workspace of that models.toml; needed when it has several
    #[arg(long, value_name = "NAME", requires = "config")]
    workspace: Option<String>,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// The environment variable that holds the webhook secret
    #[arg(long, value_name = "NAME")]
    secret_env: Option<String>,
    /// The file that holds the webhook secret
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The models.toml that names the webhook secret; its first one is taken
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    #[error("{}: {first}; trainhook check --config {} shows all mistakes", path.display(), path.display())]
    Mistakes { path: PathBuf, first: Mistake },
    #[error("no workspace {0} in the file: it has {1}")]
    UnknownWorkspace(String, String),
    #[error("name one of its workspaces with --workspace: {0}")]
    SeveralWorkspaces(String),
    #[error("the workspace has no webhook_secrets")]
    NoSecrets,
}

impl SecretPlace {
    /// Reads the secret from the place that was named.
    pub(super) fn read(&self) -> Result<Secret, PlaceError> {
        let source = &self.source;
        let place = match (&source.secret_env, &source.secret_file, &source.config) {
            (Some(name), ..) => SecretRef::Env(name.clone()),
            (_, Some(file), _) => SecretRef::File(file.clone()),
            (_, _, config) => {
                let config = config.as_deref().unwrap_or(Path::new("models.toml"));
                place_in(config, self.workspace.as_deref())?
            }
        };
        Ok(place.read()?)
    }
}

fn place_in(file: &Path, workspace: Option<&str>) -> Result<SecretRef, PlaceError> {
    let parsed = config::read(file)?;
    if let Some(first) = parsed.mistakes.into_iter().next() {
        let path = file.to_owned();
        return Err(PlaceError::Mistakes { path, first });
    }
    let workspaces = parsed.config.map(|config| config.workspaces);
    let picked = pick(workspaces.unwrap_or_default(), workspace)?;
    let first = picked.webhook_secrets.into_iter().next();
    first.ok_or(PlaceError::NoSecrets)
}

fn pick(mut all: Vec<Workspace>, name: Option<&str>) -> Result<Workspace, PlaceError> {
    let names: Vec<&str> = all
        .iter()
        .map(|workspace| workspace.name.as_str())
        .collect();
    let names = names.join(", ");
    let place = match name {
        None if all.len() > 1 => return Err(PlaceError::SeveralWorkspaces(names)),
        None => (!all.is_empty()).then_some(0),
        Some(name) => all.iter().position(|workspace| workspace.name == name),
    };
    match place {
        Some(place) => Ok(all.swap_remove(place)),
        None => Err(name.map_or(PlaceError::NoSecrets, |name| {
            PlaceError::UnknownWorkspace(name.to_owned(), names)
        })),
    }
}
