//! A row as a line of an export (docs: export format; Labelbox/labelbox-python: its tests of exports).

use serde_json::{Map, Value, json};

use super::{Row, RowData};

/// What an export of a run is asked to hold.
#[derive(Debug, Clone)]
pub(in crate::emulator) struct Wanted {
    /// The run's model.
    pub(in crate::emulator) model_id: String,
    /// The run.
    pub(in crate::emulator) model_run_id: String,
    /// What the run is called.
    pub(in crate::emulator) name: String,
    /// Flags that were set: `includeAttachments` and so on.
    pub(in crate::emulator) parts: Vec<String>,
}

/// The flag that asks for each of a row's extras.
const EXTRAS: [(&str, &str); 3] = [
    ("includeAttachments", "attachments"),
    ("includeMetadata", "metadata_fields"),
    ("includeEmbeddings", "embeddings"),
];

impl Wanted {
    fn has(&self, part: &str) -> bool {
        self.parts.iter().any(|other| other == part)
    }

    /// The line, without its end. `address` makes the address of one of the dataset's files.
    pub(super) fn line(&self, row: &Row, address: &dyn Fn(&str) -> String) -> Vec<u8> {
        let mut line = Map::new();
        line.insert("data_row".to_owned(), self.data_row(row, address));
        line.insert("media_attributes".to_owned(), row.media_attributes.clone());
        for (flag, key) in EXTRAS {
            if self.has(flag) {
                let extra = row.extras.get(key).cloned().unwrap_or_else(|| json!([]));
                line.insert(key.to_owned(), extra);
            }
        }
        line.insert("experiments".to_owned(), self.experiments(row));
        serde_json::to_vec(&line).unwrap_or_default()
    }

    fn data_row(&self, row: &Row, address: &dyn Fn(&str) -> String) -> Value {
        let row_data = match &row.row_data {
            RowData::Given(text) => text.clone(),
            RowData::Own(file) => address(file),
        };
        let mut data_row = json!({ "id": row.id, "row_data": row_data });
        for (key, value) in [
            ("global_key", &row.global_key),
            ("external_id", &row.external_id),
        ] {
            if let Some(value) = value {
                data_row[key] = json!(value);
            }
        }
        if self.has("includeDataRowDetails") {
            data_row["details"] = json!({
                "dataset_id": "cl0dataset000000000000000", "dataset_name": "emulated",
                "created_at": "2024-01-01T00:00:00.000+00:00", "updated_at": "2024-01-01T00:00:00.000+00:00",
                "created_by": "emulator@example.invalid",
            });
        }
        data_row
    }

    fn experiments(&self, row: &Row) -> Value {
        let label = json!({
            "label_kind": "Default", "version": "1.0.0", "id": format!("{}label", row.id),
            "annotations": row.annotations,
        });
        let mut run = json!({
            "name": self.name, "run_data_row_id": format!("{}run", row.id), "labels": [label],
        });
        if self.has("includePredictions") {
            run["predictions"] = json!([]);
        }
        json!({ &self.model_id: { "name": "emulated", "runs": { &self.model_run_id: run } } })
    }
}
