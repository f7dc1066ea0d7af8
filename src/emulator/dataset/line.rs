//! A row as a line of an export (docs: export format; Labelbox/labelbox-python: its tests of exports).

use serde_json::{Map, Value, json};

use super::{OWN_FILE, OWN_MASK, Row, RowData};

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

/// How the addresses of the dataset's own files are made.
pub(in crate::emulator) struct Addresses<'a> {
    /// For a file that whoever has the whole address may fetch.
    pub(in crate::emulator) file: &'a dyn Fn(&str) -> String,
    /// For a mask, which asks for an API key.
    pub(in crate::emulator) mask: &'a dyn Fn(&str) -> String,
}

/// The flag that asks for each of a row's extras.
const EXTRAS: [(&str, &str); 3] = [
    ("includeAttachments", "attachments"),
    ("includeMetadata", "metadata_fields"),
    ("includeEmbeddings", "embeddings"),
];

impl Addresses<'_> {
    /// For rows without any files.
    pub(super) const NONE: Addresses<'static> = Addresses {
        file: &|_| String::new(),
        mask: &|_| String::new(),
    };

    /// The same value with the addresses put in.
    fn put_into(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => match (text.strip_prefix(OWN_FILE), text.strip_prefix(OWN_MASK))
            {
                (Some(name), _) => (self.file)(name).into(),
                (_, Some(name)) => (self.mask)(name).into(),
                _ => value.clone(),
            },
            Value::Array(values) => values.iter().map(|value| self.put_into(value)).collect(),
            Value::Object(values) => {
                let put = |(key, value): (&String, &Value)| (key.clone(), self.put_into(value));
                Value::Object(values.iter().map(put).collect())
            }
            other => other.clone(),
        }
    }
}

impl Wanted {
    fn has(&self, part: &str) -> bool {
        self.parts.iter().any(|other| other == part)
    }

    /// The line, without its end.
    pub(super) fn line(&self, row: &Row, addresses: &Addresses<'_>) -> Vec<u8> {
        let mut line = Map::new();
        line.insert("data_row".to_owned(), self.data_row(row, addresses));
        line.insert("media_attributes".to_owned(), row.media_attributes.clone());
        for (flag, key) in EXTRAS {
            if self.has(flag) {
                let extra = row.extras.get(key).map(|extra| addresses.put_into(extra));
                let extra = extra.unwrap_or_else(|| json!([]));
                line.insert(key.to_owned(), extra);
            }
        }
        line.insert("experiments".to_owned(), self.experiments(row, addresses));
        serde_json::to_vec(&line).unwrap_or_default()
    }

    fn data_row(&self, row: &Row, addresses: &Addresses<'_>) -> Value {
        let row_data = match &row.row_data {
            RowData::Given(text) => text.clone(),
            RowData::Own(file) => (addresses.file)(file),
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

    fn experiments(&self, row: &Row, addresses: &Addresses<'_>) -> Value {
        let label = || {
            json!({
                "label_kind": "Default", "version": "1.0.0", "id": format!("{}label", row.id),
                "annotations": addresses.put_into(&row.annotations),
            })
        };
        let labels: Vec<Value> = (!row.annotations.is_null())
            .then(label)
            .into_iter()
            .collect();
        let mut run = json!({
            "name": self.name, "run_data_row_id": format!("{}run", row.id), "labels": labels,
        });
        if self.has("includePredictions") {
            run["predictions"] = json!([]);
        }
        json!({ &self.model_id: { "name": "emulated", "runs": { &self.model_run_id: run } } })
    }
}
