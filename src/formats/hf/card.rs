//! The `README.md` of a dataset: which splits there are, and of what type each column is.

use std::{fs, path::Path};

use serde_json::{Map, Value, json};

use crate::{
    dataset::Split,
    formats::{FormatError, error::at, yaml},
};

/// A column of a simple type.
pub(super) fn plain(name: &str, kind: &str) -> Value {
    json!({ "name": name, "dtype": kind })
}

/// A column of classes.
pub(super) fn class(name: &str, classes: &[&str]) -> Value {
    json!({ "name": name, "dtype": class_type(classes) })
}

/// A column of lists.
pub(super) fn list(name: &str, of: &Value) -> Value {
    json!({ "name": name, "list": of })
}

/// The type of a column of classes.
pub(super) fn class_type(classes: &[&str]) -> Value {
    let numbered = classes.iter().enumerate();
    let names: Map<String, Value> = numbered
        .map(|(number, name)| (number.to_string(), Value::from(*name)))
        .collect();
    json!({ "class_label": { "names": names } })
}

/// Splits that are loaded together.
#[derive(Debug)]
pub(super) struct Configuration {
    pub(super) name: String,
    pub(super) splits: Vec<Split>,
}

impl Configuration {
    /// What is loaded when nobody asks for another one.
    pub(super) fn default_of(splits: &[Split]) -> Self {
        Self {
            name: "default".to_owned(),
            splits: splits.to_vec(),
        }
    }
}

/// Writes it. `path` is where each split's files are, with `{split}` for the split.
pub(super) fn write(
    folder: &Path,
    features: Option<&[Value]>,
    configurations: &[Configuration],
    path: &str,
) -> Result<(), FormatError> {
    let file = |split: &Split| {
        let path = path.replacen("{split}", split.as_str(), 1);
        json!({ "split": name(*split), "path": path })
    };
    let files = |configuration: &Configuration| {
        let files: Value = configuration.splits.iter().map(file).collect();
        json!({ "config_name": configuration.name, "data_files": files })
    };
    let configs: Value = configurations.iter().map(files).collect();
    let mut card = format!("---\nconfigs: {}\n", yaml::value(&configs));
    if let Some(features) = features {
        let info = json!({ "features": features });
        card.push_str(&format!("dataset_info: {}\n", yaml::value(&info)));
    }
    card.push_str("---\n");
    let file = folder.join("README.md");
    fs::write(&file, card).map_err(at(&file))
}

/// As `datasets` calls it.
fn name(split: Split) -> &'static str {
    match split {
        Split::Training => "train",
        other => other.as_str(),
    }
}
