//! What a model runs: its command, the parameters in it, the variables around it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::secrets::{is_env_name, secret_in};
use crate::{
    config::{
        EnvValue, Params, Table,
        table::{Content, Value},
    },
    job_dir::{CodeError, survey},
};

pub(super) fn command(table: &mut Table, params: &Params) -> Vec<String> {
    if !table.has("command") {
        table.mistake(
            "command",
            "is missing: it must be a list of a program and its arguments",
        );
    }
    let Some(command) = table.strings("command") else {
        return Vec::new();
    };
    if command.first().is_none_or(String::is_empty) {
        table.mistake(
            "command",
            "must name a program, such as [\"python3\", \"train.py\"]",
        );
    }
    for argument in &command {
        for text in mistakes_in(argument, params) {
            table.mistake("command", text);
        }
    }
    command
}

fn mistakes_in(argument: &str, params: &Params) -> Vec<String> {
    let is_known = |name: &&str| {
        let param = name.strip_prefix("params.");
        ["data_dir", "out_dir", "checkpoint_dir"].contains(name)
            || param.is_some_and(|name| params.get(name).is_some())
    };
    let unknown = placeholders(argument)
        .into_iter()
        .filter(|name| !is_known(name));
    let unknown = unknown.map(|name| {
        format!(
            "{{{name}}} stands for nothing: use {{params.<name>}} of this model's params, {{data_dir}}, \
             {{out_dir}} or {{checkpoint_dir}}, and {{{{ }}}} for braces as such"
        )
    });
    let zero = argument
        .contains('\0')
        .then(|| "an argument cannot hold a zero byte".to_owned());
    zero.into_iter().chain(unknown).collect()
}

/// The names between single braces; `{{` and `}}` are braces as such. An open brace is a name, too, so
/// that it is refused.
fn placeholders(argument: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = argument;
    while let Some(at) = rest.find('{') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('{') {
            rest = after;
            continue;
        }
        let end = rest.find('}').unwrap_or(rest.len());
        names.push(&rest[..end]);
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    names
}

pub(super) fn env(table: &mut Table, base: &Path) -> BTreeMap<String, EnvValue> {
    let Some(mut given) = table.table("env") else {
        return BTreeMap::new();
    };
    let names: Vec<String> = given.keys().map(str::to_owned).collect();
    let mut env = BTreeMap::new();
    for name in names {
        let Some(Value { content, .. }) = given.take(&name) else {
            continue;
        };
        if !is_env_name(&name) || name.starts_with("TRAINHOOK_") {
            given.mistake(
                &name,
                "is no name for a variable of a job (TRAINHOOK_… are ours)",
            );
        }
        let value = match content {
            Content::Text(text) if !text.contains('\0') => Some(EnvValue::Text(text)),
            Content::Table(inner) => secret_in(inner, base).map(EnvValue::Secret),
            _ => None,
        };
        match value {
            Some(value) => drop(env.insert(name, value)),
            None => given.mistake(
                &name,
                "must be a text, { env = \"NAME\" } or { file = \"PATH\" }",
            ),
        }
    }
    table.adopt(given);
    env
}

pub(super) fn env_pass(table: &mut Table) -> Vec<String> {
    let names = table.strings("env_pass").unwrap_or_default();
    if names.iter().any(|name| !is_env_name(name)) {
        table.mistake(
            "env_pass",
            "must be a list of names of environment variables",
        );
    }
    names
}

/// What of the workdir travels with a job; all of it must be there now.
pub(super) fn files(table: &mut Table, workdir: &Path) -> Vec<PathBuf> {
    let entries = table.strings("files").unwrap_or_default();
    let entries: Vec<PathBuf> = entries.into_iter().map(PathBuf::from).collect();
    for entry in &entries {
        if let Err(error) = survey(workdir, std::slice::from_ref(entry)) {
            table.mistake("files", error.to_string());
        }
    }
    if let Err(error @ CodeError::TooMuch) = survey(workdir, &entries)
        && entries.len() > 1
    {
        table.mistake("files", error.to_string());
    }
    entries
}
