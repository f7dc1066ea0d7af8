//! What a file asks of its executors that they can never give, or do not understand.

use std::{collections::BTreeMap, sync::Arc};

use super::{Executor, trial_launch};
use crate::config::{Config, ExecutorEntry, Mistake, ModelEntry, ModelTable};

/// One sentence for each model whose jobs would wait for devices for ever.
#[must_use]
pub fn never_fitting(
    models: &[ModelEntry],
    executors: &BTreeMap<String, Arc<dyn Executor>>,
) -> Vec<String> {
    let sentence = |model: &ModelEntry| {
        let devices = executors.get(&model.executor)?.devices()?;
        let (wanted, there) = (model.resources.gpus, devices.len());
        (wanted as usize > there).then(|| {
            format!(
                "model {} asks for {wanted} GPUs and executor {} has {there}: its jobs would wait for ever",
                model.slug, model.executor
            )
        })
    };
    models.iter().filter_map(sentence).collect()
}

/// What executors find wrong with the models' tables for their kinds, in the order of the file.
#[must_use]
pub fn model_mistakes(
    tables: Vec<ModelTable>,
    executors: &BTreeMap<String, Arc<dyn Executor>>,
) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for ModelTable {
        executor,
        mut table,
    } in tables
    {
        // One that could not be built has mistakes of its own, which come first.
        if let Some(executor) = executors.get(&executor) {
            executor.check_model(&mut table);
            mistakes.append(&mut table.finish());
        }
    }
    mistakes.sort_by_key(|mistake| mistake.line);
    mistakes
}

/// A mistake for each model whose launches its executor would refuse, as far as it can tell by itself.
#[must_use]
pub fn never_taken(
    config: &Config,
    executors: &BTreeMap<String, Arc<dyn Executor>>,
) -> Vec<Mistake> {
    let judge = |model: &ModelEntry| {
        let executor = executors.get(&model.executor)?;
        let launch = trial_launch(config, model, &**executor);
        let text = executor.check_launch(&launch).err()?;
        Some(Mistake {
            line: config.model_lines.get(&model.slug).copied().unwrap_or(1),
            key: format!("models.{}", model.slug),
            text: format!("executor {} would refuse its jobs: {text}", model.executor),
        })
    };
    config.models.iter().filter_map(judge).collect()
}

/// A sentence for each executor whose supervisors, elsewhere, are given an address that leads nowhere but here.
#[must_use]
pub fn sent_to_loopback(
    config: &Config,
    executors: &BTreeMap<String, Arc<dyn Executor>>,
) -> Vec<String> {
    let Some(jobs) = &config.server.jobs else {
        return Vec::new();
    };
    let url = jobs.url_at(jobs.listen);
    let host = url.split("://").nth(1).unwrap_or_default();
    if !["127.", "localhost", "[::1]"]
        .iter()
        .any(|local| host.starts_with(local))
    {
        return Vec::new();
    }
    let away = config
        .executors
        .iter()
        .filter(|entry| entry.kind != "local");
    let away = away.filter(|entry| {
        let executor = executors.get(&entry.name);
        executor.is_some_and(|executor| !executor.shares_files())
    });
    let sentence = |entry: &ExecutorEntry| {
        format!(
            "executor {}: its jobs are told to find the server at {url}, where a container or another machine finds \
             itself: set jobs_listen and jobs_url",
            entry.name
        )
    };
    away.map(sentence).collect()
}

/// A sentence for each model that names a `workdir` here for an executor that sees no files of this machine, and sends
/// none of it along.
#[must_use]
pub fn unsent_workdirs(
    config: &Config,
    executors: &BTreeMap<String, Arc<dyn Executor>>,
) -> Vec<String> {
    let sentence = |model: &ModelEntry| {
        let line = config.workdir_lines.get(&model.slug)?;
        let executor = executors.get(&model.executor)?;
        let entry = config
            .executors
            .iter()
            .find(|entry| entry.name == model.executor)?;
        // On this machine the folder is there, whatever else is shared.
        if entry.kind == "local" {
            return None;
        }
        let told = model.kinds.get(&entry.kind);
        let is_in_image = told.is_some_and(|told| told.get("workdir").is_some());
        let is_sent = executor.shares_files() || !model.files.is_empty() || is_in_image;
        (!is_sent).then(|| {
            format!(
                "line {line}: models.{}.workdir: executor {} shares no files with the server, so the folder is only \
                 there if the machine or image has it: name what the command needs in files",
                model.slug, model.executor
            )
        })
    };
    config.models.iter().filter_map(sentence).collect()
}

/// A mistake for each executor whose supervisors would find nobody to speak to.
#[must_use]
pub fn never_heard(
    config: &Config,
    executors: &BTreeMap<String, Arc<dyn Executor>>,
) -> Vec<Mistake> {
    if config.server.jobs.is_some() {
        return Vec::new();
    }
    let shares_files = |name| {
        let executor = executors.get(name);
        executor.is_none_or(|executor| executor.shares_files())
    };
    let deaf = config.executors.iter();
    let deaf = deaf.filter(|entry| !shares_files(&entry.name));
    deaf.flat_map(|entry| {
        let mut table = entry.table.clone();
        table.mistake(
            "kind",
            "shares no files with the server: write jobs_listen in [server], where its supervisors are heard",
        );
        table.take_mistakes()
    })
    .collect()
}
