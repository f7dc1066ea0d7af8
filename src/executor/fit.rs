//! Models that ask for more than their executor will ever have.

use std::{collections::BTreeMap, sync::Arc};

use super::Executor;
use crate::config::ModelEntry;

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
