//! Metric rows: what somebody measured of a row (docs: custom metrics; limits of labelbox 7.17.0:
//! `annotation_types/metrics/`).

use std::fmt;

use serde::{
    Deserialize,
    de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{
    feature::Features,
    line::{Key, Line, Rejection, quote, typed},
    write::Object,
};

const SCALAR: [&str; 4] = ["ARITHMETIC_MEAN", "GEOMETRIC_MEAN", "HARMONIC_MEAN", "SUM"];
const MATRIX: &str = "CONFUSION_MATRIX";

/// Labelbox computes these itself.
const RESERVED: [&str; 8] = [
    "true_positive_count",
    "false_positive_count",
    "true_negative_count",
    "false_negative_count",
    "precision",
    "recall",
    "f1",
    "iou",
];

const MOST_SCALAR: f64 = 100_000_000.0;
const MOST_COUNT: f64 = 1e10;

/// What a metric row may hold.
const KEYS: [Key; 9] = [
    Key::Uuid,
    Key::DataRow,
    Key::RowName,
    Key::GlobalName,
    Key::MetricName,
    Key::MetricValue,
    Key::FeatureName,
    Key::SubclassName,
    Key::Aggregation,
];

/// Whether a line is a metric row.
pub(super) fn is_metric(line: &Line<'_>) -> bool {
    line.get(Key::MetricName).is_some() || line.get(Key::MetricValue).is_some()
}

/// Checks a metric row and writes it.
pub(super) fn write(
    line: &Line<'_>,
    features: &Features,
    object: &mut Object<'_>,
) -> Result<(), Rejection> {
    if let Some(key) = line.present(Key::ALL).find(|key| !KEYS.contains(key)) {
        let text = format!("a metric row has no {}", key.as_str());
        return Err(Rejection::new(text));
    }
    let name = line.text(Key::MetricName)?;
    let name = name.filter(|name| !name.trim().is_empty());
    let name = name.ok_or_else(|| Rejection::new("a metric row needs a metricName"))?;
    let value = line.get(Key::MetricValue);
    let value = value.ok_or_else(|| Rejection::new("a metric row needs a metricValue"))?;
    let is_matrix = typed::<MetricValue>("metricValue", value)?.is_matrix;
    let aggregation = line.text(Key::Aggregation)?;
    let aggregation = check_aggregation(aggregation.as_deref(), is_matrix)?;
    if !is_matrix && RESERVED.contains(&&*name.trim().to_lowercase()) {
        let text = format!("metricName {name} is reserved: Labelbox computes it");
        return Err(Rejection::new(text));
    }
    let feature = line.text(Key::FeatureName)?;
    // The SDK groups classifications by their answers (labelbox 7.17.0: `feature_confusion_matrix_metric`).
    if let Some(feature) = feature.as_deref().filter(|name| !features.know(name)) {
        let text = format!(
            "featureName: the ontology has no feature {}",
            quote(feature)
        );
        return Err(Rejection::new(text));
    }
    object.raw(Key::MetricValue.as_str(), value);
    object.text(Key::MetricName.as_str(), &name);
    if let Some(feature) = feature {
        object.text(Key::FeatureName.as_str(), &feature);
    }
    if let Some(subclass) = line.text(Key::SubclassName)? {
        object.text(Key::SubclassName.as_str(), &subclass);
    }
    object.text(Key::Aggregation.as_str(), aggregation);
    Ok(())
}

fn check_aggregation(given: Option<&str>, is_matrix: bool) -> Result<&'static str, Rejection> {
    let known = |wanted: &str| SCALAR.into_iter().find(|word| *word == wanted);
    match (given, is_matrix) {
        (None, true) | (Some(MATRIX), true) => Ok(MATRIX),
        (None, false) => Ok(SCALAR[0]),
        (Some(word), false) if known(word).is_some() => Ok(known(word).unwrap_or(SCALAR[0])),
        (Some(word), true) => Err(Rejection::new(format!(
            "aggregation: four counts are a {MATRIX}, not {}",
            quote(word)
        ))),
        (Some(word), false) => Err(Rejection::new(format!(
            "aggregation: must be {} for one number, not {}",
            SCALAR.join(", "),
            quote(word)
        ))),
    }
}

/// One number or four counts, or either of them by confidence.
struct MetricValue {
    is_matrix: bool,
}

impl<'de> Deserialize<'de> for MetricValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor { within: false })
    }
}

struct ValueVisitor {
    /// Within a table by confidence, which holds no further ones.
    within: bool,
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = MetricValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.within {
            true => "a number or four counts",
            false => "a number, four counts, or either of them by confidence",
        })
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        match (0.0..=MOST_SCALAR).contains(&value) {
            true => Ok(MetricValue { is_matrix: false }),
            false => Err(E::custom(format!(
                "must be from 0 to 100000000, not {value}"
            ))),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "it is only held against bounds")]
    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        self.visit_f64(value as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "it is only held against bounds")]
    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut counts = 0;
        while let Some(count) = seq.next_element::<f64>()? {
            if count.fract() != 0.0 || !(0.0..=MOST_COUNT).contains(&count) {
                let text =
                    format!("counts must be whole numbers from 0 to 10000000000, not {count}");
                return Err(A::Error::custom(text));
            }
            counts += 1;
        }
        match counts {
            4 => Ok(MetricValue { is_matrix: true }),
            _ => Err(A::Error::custom(
                "a confusion matrix has four counts: true and false positives, true and false negatives",
            )),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        if self.within {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Err(A::Error::custom("a value by confidence holds another one"));
        }
        let (mut confidences, mut kind) = (Vec::new(), None);
        while let Some(key) = map.next_key::<String>()? {
            let confidence = key.trim().parse::<f64>().ok();
            let confidence = confidence.filter(|confidence| (0.0..=1.0).contains(confidence));
            let Some(confidence) = confidence else {
                let text = format!("{} is no confidence from 0 to 1", quote(&key));
                return Err(A::Error::custom(text));
            };
            if confidences.contains(&confidence) {
                return Err(A::Error::custom(format!(
                    "the confidence {key} stands twice"
                )));
            }
            confidences.push(confidence);
            let MetricValue { is_matrix } = map.next_value_seed(Within)?;
            if *kind.get_or_insert(is_matrix) != is_matrix {
                return Err(A::Error::custom("holds both numbers and counts"));
            }
        }
        match (confidences.len(), kind) {
            (2..=15, Some(is_matrix)) => Ok(MetricValue { is_matrix }),
            (found, _) => Err(A::Error::custom(format!(
                "must hold 2 to 15 confidences, not {found}"
            ))),
        }
    }
}

/// A value within a table by confidence.
struct Within;

impl<'de> serde::de::DeserializeSeed<'de> for Within {
    type Value = MetricValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(ValueVisitor { within: true })
    }
}
