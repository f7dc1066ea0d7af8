//! What Labelbox holds at the end, by its own count, in words.

use crate::{
    emulator::{FeatureSummary, PredictionSummary},
    job::Job,
};

/// The metric under which a training tells what Labelbox counts as well.
const ACCURACY: &str = "accuracy";

/// A line for the rows, one for what was imported, and one for each feature that was predicted.
pub(super) fn lines(rows: usize, arrived: &PredictionSummary, job: &Job) -> Vec<String> {
    let refused: u64 = arrived.imports.iter().map(|import| import.refused).sum();
    let imports = match arrived.imports.len() {
        1 => "one import".to_owned(),
        imports => format!("{imports} imports"),
    };
    let mut lines = vec![
        format!("{rows} data rows were there, and exported for the training"),
        format!(
            "{} predictions and {} metrics came back in {imports}; {refused} lines were refused",
            arrived.predictions, arrived.metrics
        ),
    ];
    let told = job.progress.metrics.get(ACCURACY).copied();
    let one = arrived.features.len() == 1;
    let features = arrived.features.iter();
    lines.extend(features.map(|(name, feature)| count(name, feature, told.filter(|_| one))));
    lines
}

fn count(name: &str, feature: &FeatureSummary, told: Option<f64>) -> String {
    let FeatureSummary { right, labels, .. } = feature;
    let Some(accuracy) = feature.accuracy else {
        return format!(
            "{name}: {} predictions, and no labels that they are compared with: only answers to radio questions, boxes and entities are",
            feature.predictions
        );
    };
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let counted = format!(
        "{name}: {right} of {labels} labels were met: {}",
        percent(accuracy)
    );
    match told {
        // The training rounds what it tells.
        Some(told) if (told - accuracy).abs() < 0.0005 => {
            format!("{counted}, as the training said")
        }
        Some(told) => format!("{counted}; the training said {}", percent(told)),
        None => counted,
    }
}
