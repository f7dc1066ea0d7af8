//! Where a command finds the webhook secret: command lines are seen by everyone on the machine, so it is
//! never an argument itself.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::config::{Secret, SecretError, SecretRef};

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
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    // The parser's own text would show the value, which may be a secret in the wrong place.
    #[error(
        "{}, line {line}, is not understood; webhook_secrets is a list of {{ env = \"NAME\" }} or {{ file = \"PATH\" }}",
        path.display()
    )]
    Malformed { path: PathBuf, line: usize },
    #[error("no workspace {0} in the file: it has {1}")]
    UnknownWorkspace(String, String),
    #[error("name one of its workspaces with --workspace: {0}")]
    SeveralWorkspaces(String),
    #[error("the workspace has no webhook_secrets")]
    NoSecrets,
}

/// The part of models.toml that is needed here. The rest may be wrong: it is `check` that tells.
#[derive(Deserialize)]
struct Workspaces {
    #[serde(default)]
    workspaces: BTreeMap<String, Secrets>,
}

#[derive(Deserialize)]
struct Secrets {
    #[serde(default)]
    webhook_secrets: Vec<SecretRef>,
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

fn place_in(config: &Path, workspace: Option<&str>) -> Result<SecretRef, PlaceError> {
    let path = || config.to_path_buf();
    let text = std::fs::read_to_string(config).map_err(|source| {
        let path = path();
        PlaceError::Unreadable { path, source }
    })?;
    let read: Workspaces = toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = 1 + before.unwrap_or_default().matches('\n').count();
        let path = path();
        PlaceError::Malformed { path, line }
    })?;
    let secrets = pick(read.workspaces, workspace)?.webhook_secrets;
    match secrets.into_iter().next().ok_or(PlaceError::NoSecrets)? {
        // Paths of the file are meant from its own folder.
        SecretRef::File(file) => {
            let folder = config.parent().unwrap_or(Path::new(""));
            Ok(SecretRef::File(folder.join(file)))
        }
        named => Ok(named),
    }
}

fn pick(mut all: BTreeMap<String, Secrets>, name: Option<&str>) -> Result<Secrets, PlaceError> {
    let names = all.keys().cloned().collect::<Vec<_>>().join(", ");
    match name {
        Some(name) => {
            let unknown = || PlaceError::UnknownWorkspace(name.to_owned(), names);
            all.remove(name).ok_or_else(unknown)
        }
        None if all.len() > 1 => Err(PlaceError::SeveralWorkspaces(names)),
        None => {
            let only = all.pop_first().map(|(_, secrets)| secrets);
            only.ok_or(PlaceError::NoSecrets)
        }
    }
}
