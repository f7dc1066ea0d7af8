//! A user's own export as a dataset: its rows and labels, the ontology that these show, its splits.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use super::{Dataset, Row, RowData, Rows, SPLITS, question_id};

/// The longest line that is read, in bytes.
const LINE_LIMIT: usize = 64 << 20;

/// No place in [`SPLITS`]: the row does not say where it belongs.
const UNKNOWN: usize = SPLITS.len();

/// Why a file is no dataset.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is no exported row.
    #[error("{path}, line {line}: {text}: give an export of Labelbox's, one JSON object a line")]
    Line {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        text: String,
    },
}

pub(super) fn read(path: &Path) -> Result<Dataset, DatasetError> {
    let cannot = |source| DatasetError::Read {
        path: path.to_owned(),
        source,
    };
    let lines = BufReader::new(File::open(path).map_err(cannot)?).split(b'\n');
    let (mut rows, mut ontology) = (Vec::new(), Ontology::default());
    for (at, line) in lines.enumerate() {
        let line = line.map_err(cannot)?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let row = row(&line).map_err(|text| DatasetError::Line {
            path: path.to_owned(),
            line: at + 1,
            text,
        })?;
        ontology.learn(&row.annotations);
        rows.push(row);
    }
    split_by_order(&mut rows);
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Ok(Dataset {
        name: name.into_owned(),
        media_type: media_type(&rows),
        normalized: ontology.normalized(),
        rows: Rows::listed(rows),
        media: HashMap::new(),
    })
}

fn row(line: &[u8]) -> Result<Row, String> {
    if line.len() > LINE_LIMIT {
        return Err("it is too long".to_owned());
    }
    let line: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let data_row = &line["data_row"];
    let text = |key: &str| data_row[key].as_str().map(str::to_owned);
    let id = text("id").ok_or("it has no data_row.id")?;
    let extras = ["attachments", "metadata_fields", "embeddings"];
    let extras = extras
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), line.get(*key)?.clone())));
    let owner = owner(&line);
    Ok(Row {
        global_key: text("global_key"),
        external_id: text("external_id"),
        row_data: RowData::Given(text("row_data").unwrap_or_default()),
        media_attributes: line
            .get("media_attributes")
            .cloned()
            .unwrap_or_else(|| json!({})),
        extras: extras.collect(),
        annotations: annotations(owner),
        split: split(&line, owner).unwrap_or(UNKNOWN),
        id,
    })
}

/// Where a line keeps its labels: in the first run of its first model, or in its first project.
fn owner(line: &Value) -> &Value {
    fn first(value: &Value) -> &Value {
        let entry = value
            .as_object()
            .and_then(|entries| entries.values().next());
        entry.unwrap_or(&Value::Null)
    }
    match line.get("experiments") {
        Some(experiments) => first(&first(experiments)["runs"]),
        None => first(&line["projects"]),
    }
}

/// What the first label of a row holds; null where nobody has labelled it.
fn annotations(owner: &Value) -> Value {
    let Some(label) = owner["labels"].get(0) else {
        return Value::Null;
    };
    let annotations = &label["annotations"];
    let list = |key: &str| annotations[key].as_array().cloned().unwrap_or_default();
    json!({
        "objects": list("objects"), "classifications": list("classifications"),
        "relationships": list("relationships"),
    })
}

/// Where a split stands in a line of today is not known for certain; in one of old it stood at the top.
fn split(line: &Value, owner: &Value) -> Option<usize> {
    let places = [
        &line["data_split"],
        &owner["data_split"],
        &line["Data Split"],
    ];
    let word = places.into_iter().find_map(Value::as_str)?;
    SPLITS
        .iter()
        .position(|split| split.eq_ignore_ascii_case(word))
}

/// If no row says where it belongs, eight of ten are to learn from, one to choose by and one to be tested with.
fn split_by_order(rows: &mut [Row]) {
    let nobody_said = rows.iter().all(|row| row.split == UNKNOWN);
    let count = rows.len();
    for (at, row) in rows.iter_mut().enumerate() {
        if row.split == UNKNOWN {
            row.split = match at * 10 / count.max(1) {
                _ if !nobody_said => 3,
                ..8 => 0,
                8 => 1,
                _ => 2,
            };
        }
    }
}

fn media_type(rows: &[Row]) -> &'static str {
    let mime_type = rows
        .first()
        .and_then(|row| row.media_attributes["mime_type"].as_str());
    match mime_type.and_then(|mime_type| mime_type.split('/').next()) {
        Some("image") => "IMAGE",
        Some("video") => "VIDEO",
        _ => "TEXT",
    }
}

/// What labels show of their ontology.
#[derive(Default)]
struct Ontology {
    tools: Map<String, Value>,
    classifications: Map<String, Value>,
}

impl Ontology {
    fn learn(&mut self, annotations: &Value) {
        for object in annotations["objects"].as_array().into_iter().flatten() {
            let name = object["name"].as_str().unwrap_or_default();
            let tool = self.tools.entry(name).or_insert_with(|| tool(name, object));
            let Some(below) = tool["classifications"].as_object_mut() else {
                continue;
            };
            for answered in object["classifications"].as_array().into_iter().flatten() {
                learn_answer(below, answered);
            }
        }
        for answered in annotations["classifications"]
            .as_array()
            .into_iter()
            .flatten()
        {
            learn_answer(&mut self.classifications, answered);
        }
    }

    fn normalized(self) -> Value {
        let listed = |mut tool: Value| {
            tool["classifications"] = values(tool["classifications"].take());
            tool
        };
        let tools = self.tools.into_iter().map(|(_, tool)| listed(tool));
        let classifications = Value::Object(self.classifications);
        json!({ "tools": tools.collect::<Vec<_>>(), "classifications": values(classifications) })
    }
}

fn tool(name: &str, object: &Value) -> Value {
    let kind = match object["annotation_kind"].as_str().unwrap_or_default() {
        kind if kind.ends_with("BoundingBox") => "rectangle",
        kind if kind.ends_with("Polygon") => "polygon",
        kind if kind.ends_with("Polyline") => "line",
        kind if kind.ends_with("Point") => "point",
        kind if kind.ends_with("Entity") => "named-entity",
        _ => "raster-segmentation",
    };
    json!({
        "schemaNodeId": format!("node-{name}"), "featureSchemaId": schema_id(object, name), "name": name,
        "tool": kind, "required": false, "color": "#ff0000", "classifications": {},
    })
}

fn learn_answer(known: &mut Map<String, Value>, answered: &Value) {
    let name = answered["name"].as_str().unwrap_or_default();
    let (kind, answers) = match answered {
        _ if answered["radio_answer"].is_object() => ("radio", vec![&answered["radio_answer"]]),
        _ if answered["checklist_answers"].is_array() => {
            let answers = answered["checklist_answers"].as_array();
            ("checklist", answers.into_iter().flatten().collect())
        }
        _ => ("text", Vec::new()),
    };
    let question = known.entry(name).or_insert_with(|| {
        json!({
            "schemaNodeId": format!("node-{name}"), "featureSchemaId": schema_id(answered, name), "name": name,
            "instructions": name, "type": kind, "required": false, "scope": "global", "options": {},
        })
    });
    let Some(options) = question["options"].as_object_mut() else {
        return;
    };
    for answer in answers {
        let label = answer["name"].as_str().unwrap_or_default();
        let option = options.entry(label).or_insert_with(|| {
            json!({
                "schemaNodeId": format!("node-{name}-{label}"), "featureSchemaId": schema_id(answer, label),
                "label": label, "value": answer["value"], "options": {},
            })
        });
        // Labelbox keeps the questions that follow an answer under this name.
        let Some(below) = option["options"].as_object_mut() else {
            continue;
        };
        for answered in answer["classifications"].as_array().into_iter().flatten() {
            learn_answer(below, answered);
        }
    }
}

fn schema_id(value: &Value, name: &str) -> String {
    let given = value["feature_schema_id"].as_str();
    given.map_or_else(|| question_id(name), str::to_owned)
}

/// What was collected by name, as the list that Labelbox has; what is collected below it as well.
fn values(collected: Value) -> Value {
    let Value::Object(collected) = collected else {
        return collected;
    };
    let listed = |mut value: Value| {
        if value["options"].is_object() {
            value["options"] = values(value["options"].take());
        }
        value
    };
    collected
        .into_iter()
        .map(|(_, value)| listed(value))
        .collect()
}
