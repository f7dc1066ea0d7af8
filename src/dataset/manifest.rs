//! What lies in a job's data folder: `data/manifest.json`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Split;

/// The version of the file.
const VERSION: u32 = 1;

/// What was exported, when, and into which files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this file.
    pub version: u32,
    /// The run whose data it is.
    pub model_run_id: String,
    /// Labelbox's export task.
    pub task_id: String,
    /// When the export began.
    pub began_at: Timestamp,
    /// When everything was there.
    pub ended_at: Timestamp,
    /// Rows in all splits together.
    pub rows: u64,
    /// Bytes that Labelbox announced and sent.
    pub exported_bytes: u64,
    /// The file of each split.
    pub splits: BTreeMap<Split, DataFile>,
    /// The ontology's file; none in what older versions wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ontology: Option<FileDigest>,
    /// Media, attachments and masks that lie in the data folder.
    #[serde(default)]
    pub files: u64,
    /// Their length together.
    #[serde(default)]
    pub file_bytes: u64,
    /// How many of them could not be had.
    #[serde(default)]
    pub missing_file_count: u64,
    /// The first of those, at most 100.
    #[serde(default)]
    pub missing_files: Vec<MissingFile>,
    /// The file that lists all of them; none where no files were wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_file_list: Option<DataFile>,
    /// What the model's formats could not say of the data, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format_notes: Option<String>,
}

/// A file of the data folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// Its name below the data folder.
    pub file: String,
    /// One a line.
    pub rows: u64,
    /// Its length.
    pub bytes: u64,
    /// Of its content, in hexadecimal digits.
    pub sha256: String,
}

/// A file of the data folder that holds no rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// Its name below the data folder.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Of its content, in hexadecimal digits.
    pub sha256: String,
}

/// A file that belongs to a row and could not be had: a line of `data/missing_files.ndjson`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingFile {
    /// Labelbox's id of the row.
    pub data_row: String,
    /// The name that its owner gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global_key: Option<String>,
    /// What of the row: `row_data`, `attachment 1`, `mask 2`.
    pub kind: String,
    /// Why, for people.
    pub reason: String,
}

impl Manifest {
    /// The manifest of what these files hold.
    #[must_use]
    pub fn new(
        model_run_id: &str,
        task_id: &str,
        (began_at, ended_at): (Timestamp, Timestamp),
        exported_bytes: u64,
        splits: BTreeMap<Split, DataFile>,
    ) -> Self {
        Self {
            version: VERSION,
            model_run_id: model_run_id.to_owned(),
            task_id: task_id.to_owned(),
            began_at,
            ended_at,
            rows: splits.values().map(|file| file.rows).sum(),
            exported_bytes,
            splits,
            ontology: None,
            files: 0,
            file_bytes: 0,
            missing_file_count: 0,
            missing_files: Vec::new(),
            missing_file_list: None,
            format_notes: None,
        }
    }

    /// The rows in all, and in each split that has some, for people: `1797 rows: 1000 training, …`.
    #[must_use]
    pub fn describe(&self) -> String {
        let counted = self.splits.iter().filter(|(_, file)| file.rows > 0);
        let parts: Vec<String> = counted
            .map(|(split, file)| format!("{} {split}", file.rows))
            .collect();
        format!("{} rows: {}", self.rows, parts.join(", "))
    }
}
