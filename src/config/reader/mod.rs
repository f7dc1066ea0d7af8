//! From the text of `models.toml` to a [`Config`], or to all of its mistakes at once.

mod command;
mod data;
mod executors;
mod models;
mod params;
mod secrets;
mod server;
mod withheld;
mod workspaces;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Config, ExecutorEntry, Mistake, ModelEntry, ModelTable, Table, table::Content};

/// The longest file that is read, in bytes.
const FILE_LIMIT: u64 = 4 * 1024 * 1024;

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
    let executors = executors::executors(&mut root, base, &server.state_dir);
    let (models, model_tables, workdir_lines) = models::models(&mut root, base, &executors);
    let workspaces = workspaces::workspaces(&mut root, base, &models);
    let mut mistakes = withheld::own_secrets_in_jobs(&models, &workspaces);
    mistakes.append(&mut withheld::own_files_in_jobs(
        &models,
        &workspaces,
        &server,
    ));
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
