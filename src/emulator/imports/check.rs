//! Whether Labelbox would take a prediction.
//!
//! What is asked of a line is documented (docs: import predictions); which words a refusal has is a guess.

use std::collections::HashSet;

use serde_json::Value;
use uuid::Uuid;

use crate::emulator::dataset::Dataset;

/// A line that is taken.
#[derive(Debug)]
pub(in crate::emulator) enum Verdict {
    Prediction(Uuid, Prediction),
    Metric,
}

/// A prediction, as far as it is counted.
#[derive(Debug, Clone)]
pub(in crate::emulator) struct Prediction {
    /// The place of its row.
    pub(in crate::emulator) row: usize,
    /// The name of its tool or question.
    pub(in crate::emulator) feature: String,
    /// The one answer, for a question with one.
    pub(in crate::emulator) answer: Option<String>,
    /// Its box, as left, top, width and height.
    pub(in crate::emulator) bbox: Option<[f64; 4]>,
    /// Its first and its last character.
    pub(in crate::emulator) span: Option<[u64; 2]>,
    /// 0 to 1; 1 if it has none.
    pub(in crate::emulator) confidence: f64,
}

pub(super) fn check(
    dataset: Option<&Dataset>,
    line: &Value,
    uuids: &HashSet<Uuid>,
) -> Result<Verdict, String> {
    let dataset = dataset.ok_or("the model run has no data rows")?;
    let data_row = &line["dataRow"];
    let names = [&data_row["id"], &data_row["globalKey"]];
    let mut names = names.into_iter().filter_map(Value::as_str);
    let name = names
        .next()
        .ok_or("dataRow must have an id or a globalKey")?;
    if names.next().is_some() {
        return Err("dataRow must have an id or a globalKey, not both".to_owned());
    }
    let row = dataset
        .find(name)
        .ok_or_else(|| format!("data row {name} is not in the model run"))?;
    if line.get("metricName").is_some() {
        return Ok(Verdict::Metric);
    }
    let uuid = line["uuid"]
        .as_str()
        .and_then(|uuid| uuid.parse::<Uuid>().ok());
    let uuid = uuid.ok_or("uuid must be a UUID")?;
    if uuids.contains(&uuid) {
        return Err(format!("uuid {uuid} was used before"));
    }
    let feature = find_feature(dataset.normalized(), line)?;
    let answer = match feature["type"].as_str() {
        Some("radio") => Some(pick_answer(feature, &line["answer"])?),
        Some("checklist") => {
            let answers = line["answer"].as_array().ok_or("answer must be a list")?;
            for answer in answers {
                pick_answer(feature, answer)?;
            }
            None
        }
        _ => None,
    };
    let confidence = match &line["answer"]["confidence"] {
        Value::Null => &line["confidence"],
        inside => inside,
    };
    let confidence = confidence.as_f64().unwrap_or(1.0);
    if !(0.0..=1.0).contains(&confidence) {
        return Err("confidence must be between 0 and 1".to_owned());
    }
    Ok(Verdict::Prediction(
        uuid,
        Prediction {
            row,
            feature: feature["name"].as_str().unwrap_or_default().to_owned(),
            answer,
            bbox: bbox(&line["bbox"]),
            span: span(&line["location"]),
            confidence,
        },
    ))
}

/// The tool or question that a line names, by name or by schema id.
fn find_feature<'a>(normalized: &'a Value, line: &Value) -> Result<&'a Value, String> {
    let lists = ["tools", "classifications"].iter();
    let features = lists
        .filter_map(|list| normalized[*list].as_array())
        .flatten();
    let (key, name) = match line["name"].as_str() {
        Some(name) => ("name", name),
        None => (
            "featureSchemaId",
            line["schemaId"]
                .as_str()
                .ok_or("there is no name and no schemaId")?,
        ),
    };
    let mut features = features.filter(|feature| feature[key] == name);
    features
        .next()
        .ok_or_else(|| format!("the ontology has no feature {name}"))
}

fn pick_answer(feature: &Value, answer: &Value) -> Result<String, String> {
    let (key, name) = match answer["name"].as_str() {
        Some(name) => ("label", name),
        None => {
            let id = answer["schemaId"].as_str();
            (
                "featureSchemaId",
                id.ok_or("an answer must have a name or a schemaId")?,
            )
        }
    };
    let options = feature["options"].as_array().into_iter().flatten();
    let mut options = options.filter(|option| option[key] == name);
    let option = options
        .next()
        .ok_or_else(|| format!("there is no answer {name}"))?;
    Ok(option["label"].as_str().unwrap_or_default().to_owned())
}

fn bbox(value: &Value) -> Option<[f64; 4]> {
    let side = |key: &str| value[key].as_f64();
    Some([side("left")?, side("top")?, side("width")?, side("height")?])
}

/// The characters of an entity, in a prediction as in a label.
pub(super) fn span(location: &Value) -> Option<[u64; 2]> {
    Some([location["start"].as_u64()?, location["end"].as_u64()?])
}
