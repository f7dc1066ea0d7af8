//! A user's own export as a dataset: its rows, labels and predictions, the ontology that these show, its splits.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{Dataset, Given, Row, RowData, Rows, SPLITS, learned::Learned};

/// The longest line that is read, in bytes.
const LINE_LIMIT: usize = 64 << 20;

/// What only a project's label tells: an export of a model run has none of it (docs: export reference).
const OF_PROJECTS: [&str; 2] = ["label_details", "performance_details"];

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
    let mut file = BufReader::new(File::open(path).map_err(cannot)?);
    let (mut rows, mut ontology) = (Vec::new(), Learned::default());
    let (mut line, mut number) = (Vec::new(), 0);
    while next_line(&mut file, &mut line).map_err(cannot)? {
        number += 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let row = row(&line).map_err(|text| DatasetError::Line {
            path: path.to_owned(),
            line: number,
            text,
        })?;
        ontology.learn(&row.annotations);
        for prediction in row.given.iter().flat_map(|given| &given.predictions) {
            ontology.learn(&prediction["annotations"]);
        }
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

/// Reads a line with its end, or no more of it than shows that it is too long; false behind the last one.
fn next_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    let read = file.take(LINE_LIMIT as u64 + 1).read_until(b'\n', line)?;
    Ok(read > 0)
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
    let given = Given {
        labels: list(owner, "labels")?,
        predictions: list(owner, "predictions")?,
    };
    Ok(Row {
        global_key: text("global_key"),
        external_id: text("external_id"),
        row_data: RowData::Given(text("row_data").unwrap_or_default()),
        media_attributes: line
            .get("media_attributes")
            .cloned()
            .unwrap_or_else(|| json!({})),
        extras: extras.collect(),
        annotations: annotations(&given.labels),
        split: split(&line, owner).unwrap_or(UNKNOWN),
        given: Some(given),
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

/// Labels or predictions, as far as an export of a model run tells them; none if nothing is said of any.
fn list(owner: &Value, key: &str) -> Result<Vec<Value>, String> {
    let mut entries = match owner.get(key) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(entries)) => entries.clone(),
        Some(_) => return Err(format!("its {key} are no list")),
    };
    for entry in &mut entries {
        let entry = entry.as_object_mut();
        let entry = entry.ok_or_else(|| format!("one of its {key} is no object"))?;
        entry.retain(|key, _| !OF_PROJECTS.contains(&key.as_str()));
    }
    Ok(entries)
}

/// What all labels of a row say together.
fn annotations(labels: &[Value]) -> Value {
    let list = |key: &str| -> Value {
        let lists = labels
            .iter()
            .filter_map(|label| label["annotations"][key].as_array());
        lists.flatten().cloned().collect()
    };
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
