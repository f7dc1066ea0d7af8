//! `[models.<slug>]`.

use std::{collections::BTreeMap, path::Path, time::Duration};

use super::{
    Found,
    command::{command, env, env_pass, files},
    data::{export, formats, max_row_errors, predictions, preflight},
    milliseconds, named_tables,
    params::params,
};
use crate::{
    config::{
        ExecutorEntry, IMPORT_LINES, ModelEntry, ModelTable, Resources, Retry, Table, path_from,
    },
    job::Cause,
};

const HOUR: Duration = Duration::from_secs(3600);
const RUN_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
const QUEUE_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(6 * 3600);
const CANCEL_GRACE: Duration = Duration::from_secs(30);
const SPENDING: u32 = 100;
const LOG_LIMIT: u64 = 64 << 20;
const SMALLEST_LOG: u64 = 64 << 10;
const LONGEST_TITLE: usize = 200;

/// Kinds of executors that come with the program, and to which models speak in tables of their own.
const KINDS: [&str; 5] = ["container", "kubernetes", "program", "ray", "slurm"];

/// The models; what they say to kinds of executors; the lines of their `workdir`.
pub(super) type Models = (
    Vec<Found<ModelEntry>>,
    Vec<ModelTable>,
    BTreeMap<String, usize>,
);

pub(super) fn models(root: &mut Table, base: &Path, executors: &[ExecutorEntry]) -> Models {
    let mut models: Vec<Found<ModelEntry>> = Vec::new();
    let mut workdir_lines = BTreeMap::new();
    let mut tables = Vec::new();
    for (slug, line, mut table) in named_tables(root, "models", "a model type that Labelbox lists")
    {
        if !slug
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c))
        {
            table.mistake(
                "",
                "a model's name is made of a-z, 0-9, - and _; put any other text into its title",
            );
        }
        if let Some(line) = table.line("workdir") {
            workdir_lines.insert(slug.clone(), line);
        }
        let mut entry = model(&slug, &mut table, base, executors);
        for (kind, said) in said_to_kinds(&mut table, &entry.executor, executors) {
            entry.kinds.insert(kind, said.table.as_json());
            tables.push(said);
        }
        said_to_nobody(&mut table);
        if models.iter().any(|other| other.value.title == entry.title) {
            let text = format!(
                "another model has the title {:?}: Labelbox could not tell them apart",
                entry.title
            );
            table.mistake("title", text);
        }
        root.adopt(table);
        models.push(Found { line, value: entry });
    }
    (models, tables, workdir_lines)
}

/// What is left of the tables for kinds of executors is for none in the file.
fn said_to_nobody(table: &mut Table) {
    for kind in KINDS {
        if table.take(kind).is_some() {
            let text = format!(
                "no executor of this file is of kind \"{kind}\": add one as [executors.NAME] with kind = \"{kind}\", or \
                 take this table out"
            );
            table.mistake(kind, text);
        }
    }
}

/// A model may speak to every kind of executor in the file, so that it moves by one word. Its own executor judges
/// what is for it, and the first one of its kind the rest.
fn said_to_kinds(
    table: &mut Table,
    own: &str,
    executors: &[ExecutorEntry],
) -> Vec<(String, ModelTable)> {
    let mut judges: BTreeMap<&str, &str> = BTreeMap::new();
    for ExecutorEntry { name, kind, .. } in executors {
        let judge = judges.entry(kind).or_insert(name);
        if name == own {
            *judge = name;
        }
    }
    let is_told = |kind: &&str| !kind.is_empty() && table.has(kind);
    let kinds: Vec<&str> = judges.keys().copied().filter(is_told).collect();
    let mut said = Vec::new();
    for kind in kinds {
        let executor = judges.get(kind).copied().unwrap_or_default().to_owned();
        let told = table.table(kind);
        said.extend(told.map(|table| (kind.to_owned(), ModelTable { executor, table })));
    }
    said
}

fn model(slug: &str, table: &mut Table, base: &Path, executors: &[ExecutorEntry]) -> ModelEntry {
    let (params, param_limits) = params(table);
    let export = export(table);
    let predictions = predictions(table, export.as_ref());
    let upload_timeout = table
        .limit("upload_timeout")
        .unwrap_or(Some(UPLOAD_TIMEOUT));
    let run_timeout = table.limit("run_timeout").unwrap_or(Some(RUN_TIMEOUT));
    let queue_timeout = table.limit("queue_timeout").unwrap_or(Some(QUEUE_TIMEOUT));
    let workdir = table.string("workdir");
    let workdir = workdir.map_or_else(|| base.to_owned(), |workdir| path_from(base, workdir));
    ModelEntry {
        files: files(table, &workdir),
        slug: slug.to_owned(),
        title: title(slug, table),
        executor: executor(table, executors),
        command: command(table, &params),
        workdir,
        env: env(table, base),
        env_pass: env_pass(table),
        params,
        param_limits,
        resources: resources(table),
        run_timeout_ms: run_timeout.map(milliseconds),
        queue_timeout_ms: queue_timeout.map(milliseconds),
        cancel_grace_ms: milliseconds(
            table
                .duration("cancel_grace")
                .unwrap_or(CANCEL_GRACE)
                .min(HOUR),
        ),
        retry: retry(table),
        log_limit: log_limit(table),
        max_running: table.integer("max_running", 1..10_001),
        max_queued: table.count_limit("max_queued").unwrap_or(Some(SPENDING)),
        max_starts_per_day: table
            .count_limit("max_starts_per_day")
            .unwrap_or(Some(SPENDING)),
        formats: formats(table, export.as_ref()),
        preflight: preflight(table, export.as_ref()),
        max_row_errors: max_row_errors(table, predictions),
        import_lines: table
            .integer("import_lines", 1..100_001)
            .unwrap_or(IMPORT_LINES),
        predictions,
        upload_timeout_ms: upload_timeout.map(milliseconds),
        export,
        kinds: BTreeMap::new(),
    }
}

fn title(slug: &str, table: &mut Table) -> String {
    let title = table.string("title").unwrap_or_else(|| slug.to_owned());
    let fits = (1..=LONGEST_TITLE).contains(&title.chars().count())
        && !title.chars().any(char::is_control);
    if !fits {
        table.mistake(
            "title",
            format!("must be 1 to {LONGEST_TITLE} printable characters"),
        );
    }
    title
}

fn executor(table: &mut Table, executors: &[ExecutorEntry]) -> String {
    let Some(executor) = table.required_string("executor") else {
        return String::new();
    };
    let mut known: Vec<&str> = executors.iter().map(|one| one.name.as_str()).collect();
    known.sort_unstable();
    if !known.contains(&executor.as_str()) {
        let text = format!(
            "there is no [executors.{executor}]; those that exist: {}",
            known.join(", ")
        );
        table.mistake("executor", text);
    }
    executor
}

fn resources(table: &mut Table) -> Resources {
    let Some(mut given) = table.table("resources") else {
        return Resources::default();
    };
    let resources = Resources {
        gpus: given.integer("gpus", 0..1025).unwrap_or(0),
        cpus: given.integer("cpus", 1..100_001),
        memory: given.size("memory"),
    };
    table.adopt(given);
    resources
}

fn retry(table: &mut Table) -> Retry {
    let infrastructure = || {
        Cause::ALL
            .iter()
            .copied()
            .filter(|cause| cause.is_infrastructure())
    };
    let mut retry = Retry {
        max: 2,
        on: infrastructure().collect(),
        backoff_ms: 30_000,
    };
    let Some(mut given) = table.table("retry") else {
        return retry;
    };
    if let Some(max) = given.integer("max", 0..101) {
        retry.max = max;
    }
    if let Some(backoff) = given.duration("backoff") {
        retry.backoff_ms = u64::try_from(backoff.as_millis()).unwrap_or(u64::MAX);
    }
    if let Some(words) = given.strings("on") {
        let cause = |word: &String| infrastructure().find(|cause| cause.as_str() == word);
        match words.iter().map(cause).collect() {
            Some(causes) => retry.on = causes,
            None => given.mistake(
                "on",
                "may hold start_failed, preempted, node_lost and infra only",
            ),
        }
    }
    table.adopt(given);
    retry
}

fn log_limit(table: &mut Table) -> u64 {
    let limit = table.size("log_limit").unwrap_or(LOG_LIMIT);
    if limit < SMALLEST_LOG {
        table.mistake("log_limit", "must be at least 64KiB");
    }
    limit
}
