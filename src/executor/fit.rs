//! Models that their executors cannot serve: they ask for more than there will ever be, or say what is not understood.

use std::{collections::BTreeMap, sync::Arc};

use super::Executor;
use crate::config::{Mistake, ModelEntry, ModelTable};

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
