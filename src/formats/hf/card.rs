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

/// Writes it. `path` is where each split's files are, with `*` for the split.
pub(super) fn write(
    folder: &Path,
    features: &[Value],
    splits: &[Split],
    path: &str,
) -> Result<(), FormatError> {
    let files = splits.iter().map(|split| {
        let path = path.replacen("{split}", split.as_str(), 1);
        json!({ "split": name(*split), "path": path })
    });
    let files: Value = files.collect();
    let (features, configs) = (
        json!({ "features": features }),
        json!([{ "config_name": "default", "data_files": files }]),
    );
    let card = format!(
        "---\ndataset_info: {}\nconfigs: {}\n---\n",
        yaml::value(&features),
        yaml::value(&configs)
    );
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
