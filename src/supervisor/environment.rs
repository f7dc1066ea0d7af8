//! What the command sees: its variables, and its arguments with their placeholders filled.

use std::{ffi::OsString, path::PathBuf};

use serde_json::{Map, Value};

use crate::{
    job::PROTOCOL,
    job_dir::{AttemptDir, Request},
    process::LAUNCH_MARK,
};

/// The variables that the command has beyond those of its supervisor.
pub(super) fn variables(dir: &AttemptDir, request: &Request) -> Vec<(String, OsString)> {
    let mut all = paths(dir);
    all.extend(words(dir, request));
    all.extend(
        request
            .params
            .iter()
            .map(|(name, value)| (parameter_name(name), text(value).into())),
    );
    if std::env::var_os("PYTHONUNBUFFERED").is_none() {
        all.push(("PYTHONUNBUFFERED".to_owned(), "1".into()));
    }
    all
}

fn paths(dir: &AttemptDir) -> Vec<(String, OsString)> {
    let data = |name: &str| dir.data().join(name);
    let named: [(&str, PathBuf); 15] = [
        ("TRAINHOOK_JOB_DIR", dir.path().to_owned()),
        ("TRAINHOOK_REQUEST_FILE", dir.request()),
        ("TRAINHOOK_DATA_DIR", dir.data()),
        ("TRAINHOOK_TRAINING_FILE", data("training.ndjson")),
        ("TRAINHOOK_VALIDATION_FILE", data("validation.ndjson")),
        ("TRAINHOOK_TEST_FILE", data("test.ndjson")),
        ("TRAINHOOK_UNASSIGNED_FILE", data("unassigned.ndjson")),
        ("TRAINHOOK_ONTOLOGY_FILE", data("ontology.json")),
        ("TRAINHOOK_OUT_DIR", dir.out()),
        ("TRAINHOOK_CHECKPOINT_DIR", dir.checkpoint()),
        ("TRAINHOOK_EVENTS_FILE", dir.events()),
        ("TRAINHOOK_FAILURE_FILE", dir.failure()),
        (
            "TRAINHOOK_PREDICTIONS_FILE",
            dir.out().join("predictions.ndjson"),
        ),
        ("TRAINHOOK_METRICS_FILE", dir.out().join("metrics.json")),
        ("TORCHELASTIC_ERROR_FILE", dir.torch_error()),
    ];
    named
        .into_iter()
        .map(|(name, path)| (name.to_owned(), path.into_os_string()))
        .collect()
}

fn words(dir: &AttemptDir, request: &Request) -> Vec<(String, OsString)> {
    let resumes = request.attempt > 1 || holds_something(&dir.checkpoint());
    let mut named = vec![
        ("TRAINHOOK_PROTOCOL", PROTOCOL.to_string()),
        ("TRAINHOOK_JOB_ID", request.job_id.to_string()),
        (LAUNCH_MARK, request.launch_id.to_string()),
        ("TRAINHOOK_ATTEMPT", request.attempt.to_string()),
        ("TRAINHOOK_RESUME", u8::from(resumes).to_string()),
        ("TRAINHOOK_MODEL", request.model.clone()),
        ("TRAINHOOK_MODEL_RUN_ID", request.model_run_id.to_string()),
    ];
    if let Some(model_id) = &request.model_id {
        named.push(("TRAINHOOK_MODEL_ID", model_id.clone()));
    }
    if let Some(program) = own_program() {
        named.push(("TRAINHOOK_BIN", program));
    }
    named
        .into_iter()
        .map(|(name, word)| (name.to_owned(), word.into()))
        .collect()
}

fn holds_something(folder: &std::path::Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

/// A program replaced while it runs has `(deleted)` after its path; the new one lies at the same path.
fn own_program() -> Option<String> {
    let path = std::env::current_exe().ok()?.into_os_string();
    let path = path.into_string().ok()?;
    Some(path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned())
}

/// `learning-rate` → `TRAINHOOK_PARAM_LEARNING_RATE`.
fn parameter_name(name: &str) -> String {
    let plain = name.chars().map(|c| match c {
        c if c.is_ascii_alphanumeric() => c.to_ascii_uppercase(),
        _ => '_',
    });
    format!("TRAINHOOK_PARAM_{}", plain.collect::<String>())
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Fills the placeholders of one argument, which stays one argument.
///
/// # Errors
/// When a placeholder is unknown or not closed, or a text parameter would become an option of its own.
pub(super) fn fill(
    template: &str,
    dir: &AttemptDir,
    params: &Map<String, Value>,
) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        filled.push_str(&rest[..at]);
        let (brace, after) = rest[at..].split_at(1);
        if let Some(after) = after.strip_prefix(brace) {
            filled.push_str(brace);
            rest = after;
            continue;
        }
        let closed = after.split_once('}').filter(|_| brace == "{");
        let (name, after) = closed.ok_or_else(|| {
            format!("`{template}` has a brace without its partner: write {{{{ or }}}} for a brace")
        })?;
        let value = placeholder(name, dir, params)
            .ok_or_else(|| format!("`{{{name}}}` in `{template}` is no placeholder: there are {{params.<name>}}, {{data_dir}}, {{out_dir}}, {{checkpoint_dir}}"))?;
        if filled.is_empty() && is_option(name, &value, params) {
            return Err(format!(
                "the value of {name} begins with `-` and would be taken for an option: write `--x={{{name}}}` instead of `{{{name}}}`"
            ));
        }
        filled.push_str(&value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn placeholder(name: &str, dir: &AttemptDir, params: &Map<String, Value>) -> Option<String> {
    let path = match name {
        "data_dir" => dir.data(),
        "out_dir" => dir.out(),
        "checkpoint_dir" => dir.checkpoint(),
        _ => return params.get(name.strip_prefix("params.")?).map(text),
    };
    Some(path.to_string_lossy().into_owned())
}

/// Numbers may be negative; a text that looks like an option is somebody's trick.
fn is_option(name: &str, value: &str, params: &Map<String, Value>) -> bool {
    let parameter = name
        .strip_prefix("params.")
        .and_then(|name| params.get(name));
    value.starts_with('-') && parameter.is_some_and(Value::is_string)
}
