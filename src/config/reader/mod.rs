//! From the text of `models.toml` to a [`Config`], or to all of its mistakes at once.

mod command;
mod data;
mod models;
mod params;
mod server;
mod workspaces;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Config, ExecutorEntry, Mistake, ModelEntry, ModelTable, SecretRef, ServerConfig, Table,
    Workspace, table::Content,
};

/// The longest file that is read, in bytes.
const FILE_LIMIT: u64 = 4 * 1024 * 1024;

/// No engine is looked at more often.
const SHORTEST_POLL: Duration = Duration::from_millis(100);

/// What a file turned out to be.
#[derive(Debug)]
pub struct Parsed {
    /// The settings; none if there are mistakes.
    pub config: Option<Config>,
    /// The executors' tables, as far as they were understood: their own `build` may find more mistakes.
    pub executors: Vec<ExecutorEntry>,
    /// What models say to kinds of executors: those may find more mistakes, too.
    pub model_tables: Vec<ModelTable>,
    /// All mistakes, in the order of the file.
    pub mistakes: Vec<Mistake>,
}

/// A file that cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}: {source}: name the settings with --config FILE")]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: std::io::Error,
}

/// Reads a file.
///
/// # Errors
/// When it cannot be read; what is wrong in it is no error but among the answer's mistakes.
pub fn read(file: &Path) -> Result<Parsed, ReadError> {
    let error = |source| ReadError {
        path: file.to_owned(),
        source,
    };
    let size = std::fs::metadata(file).map_err(error)?.len();
    if size > FILE_LIMIT {
        return Err(error(std::io::Error::other(
            "it is too large for a settings file",
        )));
    }
    let text = std::fs::read_to_string(file).map_err(error)?;
    let absolute = std::path::absolute(file).map_err(error)?;
    Ok(parse(&text, &absolute))
}

/// Understands a file's text. Relative paths in it are taken from the folder of `file`.
#[must_use]
pub fn parse(text: &str, file: &Path) -> Parsed {
    let mut root = match Table::parse(text) {
        Ok(root) => root,
        Err(mistake) => {
            return Parsed {
                config: None,
                executors: Vec::new(),
                model_tables: Vec::new(),
                mistakes: vec![mistake],
            };
        }
    };
    let base = file.parent().unwrap_or(Path::new("/"));
    let server = server::server(&mut root, base);
    let reporting = server::reporting(&mut root);
    let retention = server::retention(&mut root);
    let executors = executors(&mut root, base, &server.state_dir);
    let (models, model_tables, workdir_lines) = models::models(&mut root, base, &executors);
    let workspaces = workspaces::workspaces(&mut root, base, &models);
    let mut mistakes = own_secrets_in_jobs(&models, &workspaces);
    mistakes.append(&mut own_files_in_jobs(&models, &workspaces, &server));
    mistakes.append(&mut root.finish());
    mistakes.sort_by_key(|mistake| mistake.line);
    let config = mistakes.is_empty().then(|| Config {
        file: file.to_owned(),
        server,
        reporting,
        retention,
        workspaces: workspaces.into_iter().map(|found| found.value).collect(),
        executors: executors.clone(),
        model_lines: models.iter().map(line_of).collect(),
        models: models.into_iter().map(|found| found.value).collect(),
        model_tables: model_tables.clone(),
        workdir_lines,
    });
    Parsed {
        config,
        executors,
        model_tables,
        mistakes,
    }
}

fn line_of(model: &Found<ModelEntry>) -> (String, usize) {
    (model.value.slug.clone(), model.line)
}

/// Something read from a table, with the line of the table's head.
#[derive(Debug)]
struct Found<T> {
    line: usize,
    value: T,
}

/// The sub-tables of `key`, each with its name and line; a mistake if there is none.
fn named_tables(root: &mut Table, key: &str, what: &str) -> Vec<(String, usize, Table)> {
    let mut named = Vec::new();
    let Some(mut tables) = root.table(key) else {
        if !root.was_given(key) {
            root.mistake(
                key,
                format!("is missing: write at least one [{key}.<name>] ({what})"),
            );
        }
        return named;
    };
    let names: Vec<String> = tables.keys().map(str::to_owned).collect();
    if names.is_empty() {
        root.mistake(
            key,
            format!("is empty: write at least one [{key}.<name>] ({what})"),
        );
    }
    for name in names {
        let Some(value) = tables.take(&name) else {
            continue;
        };
        match value.content {
            Content::Table(table) => named.push((name, value.line, table)),
            other => {
                tables.mistake(
                    &name,
                    format!("must be a table [{key}.{name}], not {}", other.describe()),
                );
            }
        }
    }
    root.adopt(tables);
    named
}

/// As entries keep durations.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn executors(root: &mut Table, base: &Path, state_dir: &Path) -> Vec<ExecutorEntry> {
    let mut executors = Vec::new();
    for (name, _, mut table) in named_tables(root, "executors", "a place where jobs run") {
        let kind = table.required_string("kind");
        let max_running = table.integer("max_running", 1..10_001).unwrap_or(1);
        let export_ahead = table.integer("export_ahead", 0..1001).unwrap_or(2);
        let lost_after = table
            .duration("lost_after")
            .unwrap_or(super::DEFAULT_LOST_AFTER);
        let unclaimed_after = table
            .duration("unclaimed_after")
            .unwrap_or(super::DEFAULT_UNCLAIMED_AFTER);
        let poll_interval = table.duration("poll_interval");
        if poll_interval.is_some_and(|interval| interval < SHORTEST_POLL) {
            table.mistake("poll_interval", "must be at least \"100ms\"");
        }
        // The rest is for the executor's own build; only what was asked for so far is judged here.
        let mistakes = table.take_mistakes();
        root.add(mistakes);
        executors.push(ExecutorEntry {
            name,
            kind: kind.unwrap_or_default(),
            max_running,
            export_ahead,
            lost_after,
            unclaimed_after,
            poll_interval,
            folder: base.to_owned(),
            state_dir: state_dir.to_owned(),
            table,
        });
    }
    executors
}

impl Table {
    /// A secret by reference: `{ env = "NAME" }`, or `{ file = "PATH" }` beside `base`.
    pub fn secret(&mut self, key: &str, base: &Path) -> Option<SecretRef> {
        secret_ref(self, key, base)
    }
}

/// `{ env = "NAME" }` or `{ file = "PATH" }`.
fn secret_ref(table: &mut Table, key: &str, base: &Path) -> Option<SecretRef> {
    const FORM: &str =
        "a secret is written { env = \"NAME\" } or { file = \"PATH\" }, never as its value";
    let value = table.take(key)?;
    let reference = match value.content {
        Content::Table(inner) => secret_in(inner, base),
        _ => None,
    };
    if reference.is_none() {
        table.mistake(key, FORM);
    }
    reference
}

fn secret_in(mut table: Table, base: &Path) -> Option<SecretRef> {
    let (env, file) = (table.string("env"), table.string("file"));
    if !table.finish().is_empty() {
        return None;
    }
    match (env, file) {
        (Some(name), None) if is_env_name(&name) => Some(SecretRef::Env(name)),
        (None, Some(path)) if !path.is_empty() => Some(SecretRef::File(base.join(path))),
        _ => None,
    }
}

fn is_env_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// No job is given trainhook's own files.
fn own_files_in_jobs(
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
fn own_secrets_in_jobs(
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
            super::EnvValue::Secret(reference) if own.contains(reference) => Some(name),
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
