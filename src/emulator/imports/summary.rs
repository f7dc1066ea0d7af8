//! What arrived, counted against what was labelled.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{Imports, Prediction, check};
use crate::emulator::dataset::Dataset;

/// A box is found by one that shares at least this much with it.
const OVERLAP: f64 = 0.5;

/// What was imported into a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PredictionSummary {
    /// Each import, by its name.
    pub imports: Vec<ImportSummary>,
    /// Files that came a second time under the same name, and were refused.
    pub repeated_imports: u64,
    /// Predictions that were taken.
    pub predictions: u64,
    /// Metric rows that were taken.
    pub metrics: u64,
    /// By the name of the tool or question.
    pub features: BTreeMap<String, FeatureSummary>,
}

/// One import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportSummary {
    /// Its name.
    pub name: String,
    /// `RUNNING`, `FINISHED` or `FAILED`.
    pub state: String,
    /// Its lines.
    pub lines: u64,
    /// Those that were refused.
    pub refused: u64,
}

/// What was predicted with one tool, or answered to one question.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FeatureSummary {
    /// Predictions that were taken.
    pub predictions: u64,
    /// Labels of the rows that have predictions.
    pub labels: u64,
    /// Labels that the surest prediction of their row agrees with, that some box of their class covers, or whose very
    /// characters some prediction of their class marks.
    pub right: u64,
    /// The share of labels that were met; none without labels.
    pub accuracy: Option<f64>,
}

impl Imports {
    /// Counts everything.
    pub(in crate::emulator) fn summary(
        &self,
        dataset: Option<&Dataset>,
        now: Timestamp,
    ) -> PredictionSummary {
        let import = |(name, import): (&String, &super::Import)| ImportSummary {
            name: name.clone(),
            state: import.state(now).to_owned(),
            lines: import.lines,
            refused: import.refused,
        };
        PredictionSummary {
            imports: self.imports.iter().map(import).collect(),
            repeated_imports: self.repeated,
            predictions: self.predictions.len() as u64,
            metrics: self.metrics,
            features: self.features(dataset),
        }
    }

    fn features(&self, dataset: Option<&Dataset>) -> BTreeMap<String, FeatureSummary> {
        let mut features: BTreeMap<String, FeatureSummary> = BTreeMap::new();
        let mut by_row: HashMap<(usize, &str), Vec<&Prediction>> = HashMap::new();
        for prediction in &self.predictions {
            let feature = features.entry(prediction.feature.clone()).or_default();
            feature.predictions += 1;
            by_row
                .entry((prediction.row, &prediction.feature))
                .or_default()
                .push(prediction);
        }
        for ((row, name), predictions) in by_row {
            let (Some(row), Some(feature)) = (
                dataset.and_then(|dataset| dataset.row(row)),
                features.get_mut(name),
            ) else {
                continue;
            };
            let (labels, right) = compare(&row.annotations, name, &predictions);
            feature.labels += labels;
            feature.right += right;
        }
        for feature in features.values_mut() {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a share needs no more precision"
            )]
            let share = feature.right as f64 / feature.labels as f64;
            feature.accuracy = (feature.labels > 0).then_some(share);
        }
        features
    }
}

/// How many labels of that name there are, and how many of them were met.
fn compare(annotations: &Value, name: &str, predictions: &[&Prediction]) -> (u64, u64) {
    let of = |list: &str| {
        let items = annotations[list].as_array().into_iter().flatten();
        items
            .filter(|item| item["name"] == name)
            .collect::<Vec<_>>()
    };
    let answers = of("classifications").into_iter();
    let answers = answers.filter_map(|answered| answered["radio_answer"]["name"].as_str());
    let surest = predictions
        .iter()
        .max_by(|a, b| a.confidence.total_cmp(&b.confidence));
    let surest = surest.and_then(|prediction| prediction.answer.as_deref());
    let answers = answers.map(|answer| surest == Some(answer));
    let objects = of("objects").into_iter();
    let met = answers.chain(objects.filter_map(|object| is_met(object, predictions)));
    met.fold((0, 0), |(labels, right), met| {
        (labels + 1, right + u64::from(met))
    })
}

/// Whether some prediction covers a labelled box, or marks the very characters of a labelled entity; none for an object
/// that is neither.
fn is_met(object: &Value, predictions: &[&Prediction]) -> Option<bool> {
    if let Some(span) = check::span(&object["location"]) {
        let mut predicted = predictions.iter().filter_map(|prediction| prediction.span);
        return Some(predicted.any(|predicted| predicted == span));
    }
    let label = labelled_box(object)?;
    let mut predicted = predictions.iter().filter_map(|prediction| prediction.bbox);
    Some(predicted.any(|predicted| overlap(label, predicted) >= OVERLAP))
}

fn labelled_box(object: &Value) -> Option<[f64; 4]> {
    let side = |key: &str| object["bounding_box"][key].as_f64();
    Some([side("left")?, side("top")?, side("width")?, side("height")?])
}

/// What two boxes share of what they cover together.
fn overlap(a: [f64; 4], b: [f64; 4]) -> f64 {
    let side = |at: usize| (a[at] + a[at + 2]).min(b[at] + b[at + 2]) - a[at].max(b[at]);
    let shared = side(0).max(0.0) * side(1).max(0.0);
    let together = a[2] * a[3] + b[2] * b[3] - shared;
    if together > 0.0 {
        shared / together
    } else {
        0.0
    }
}
