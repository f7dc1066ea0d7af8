//! What `models.toml` says to a launcher program.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use super::ProgramExecutor;
use crate::{
    config::Table,
    executor::{BuildContext, Built},
};

/// A call may take this long if the table does not say.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest time that a table may give: the server itself waits not much longer.
const LONGEST_CALL: Duration = Duration::from_secs(50);

/// Builds it from its table: `command`, `call_timeout`, `env`, `env_pass`, `settings`.
///
/// # Errors
/// What is wrong with the table.
pub fn build(table: &mut Table, context: &BuildContext<'_>) -> Built {
    if !table.has("command") {
        table.mistake(
            "command",
            "is missing: it must be a list of a program and its arguments",
        );
    }
    let command = table.strings("command").unwrap_or_default();
    if table.was_given("command") && command.first().is_none_or(String::is_empty) {
        table.mistake("command", "must name a program, such as [\"./launcher\"]");
    }
    let call_timeout = table.duration("call_timeout").unwrap_or(CALL_TIMEOUT);
    if call_timeout.is_zero() || call_timeout > LONGEST_CALL {
        table.mistake("call_timeout", "must be at most \"50s\", and not zero");
    }
    Ok(Arc::new(ProgramExecutor {
        name: context.name.to_owned(),
        command: beside(context.folder, command),
        folder: context.folder.to_owned(),
        call_timeout,
        env: environment(table),
        settings: table.table("settings").map(|table| table.as_json()),
    }))
}

/// A program named by a path is looked for where the settings are.
fn beside(folder: &Path, mut command: Vec<String>) -> Vec<String> {
    if let Some(program) = command.first_mut().filter(|program| program.contains('/')) {
        *program = folder.join(&*program).to_string_lossy().into_owned();
    }
    command
}

fn environment(table: &mut Table) -> BTreeMap<String, String> {
    let passed = table.strings("env_pass").unwrap_or_default().into_iter();
    let mut env: BTreeMap<String, String> = passed
        .filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)))
        .collect();
    if let Some(mut given) = table.table("env") {
        let names: Vec<String> = given.keys().map(str::to_owned).collect();
        for name in names {
            if let Some(value) = given.string(&name) {
                env.insert(name, value);
            }
        }
        table.adopt(given);
    }
    env
}
