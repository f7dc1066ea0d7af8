//! What a model needs of its run's data, and what it gives back.

use std::time::Duration;

use super::milliseconds;
use crate::config::{
    Export, Format, Parts, Predictions, Preflight, Table, Tolerance,
    table::{Content, Value},
};

const EXPORT_TIMEOUT: Duration = Duration::from_secs(6 * 3600);
const EXPORT_MAX_AGE: Duration = Duration::from_secs(12 * 3600);

/// No image is as large, and hardly a video.
const MAX_FILE_SIZE: u64 = 2_000_000_000;

/// `export = true`, `false`, or a table of what is wanted.
pub(super) fn export(table: &mut Table) -> Option<Export> {
    let timeout = table
        .limit("export_timeout")
        .unwrap_or(Some(EXPORT_TIMEOUT));
    let max_age = table
        .limit("export_max_age")
        .unwrap_or(Some(EXPORT_MAX_AGE));
    let mut export = Export {
        timeout_ms: timeout.map(milliseconds),
        max_file_size: MAX_FILE_SIZE,
        max_age_ms: max_age.map(milliseconds),
        ..Export::default()
    };
    match table.take("export").map(|Value { content, .. }| content) {
        None | Some(Content::Bool(true)) => {}
        Some(Content::Bool(false)) => return None,
        Some(Content::Table(mut given)) => {
            let mut wanted = |key: &str| given.boolean(key).unwrap_or(false);
            export.parts = Parts {
                attachments: wanted("attachments"),
                metadata: wanted("metadata"),
                embeddings: wanted("embeddings"),
                predictions: wanted("predictions"),
            };
            export.files = wanted("files");
            export.max_file_size = given.size("max_file_size").unwrap_or(MAX_FILE_SIZE);
            export.max_missing_files = given.tolerance("max_missing_files").unwrap_or_default();
            for key in ["max_file_size", "max_missing_files"] {
                if !export.files && given.was_given(key) {
                    given.mistake(key, "means nothing without files = true");
                }
            }
            table.adopt(given);
        }
        Some(other) => {
            let text = format!(
                "must be true, false or a table such as {{ files = true }}, not {}",
                other.describe()
            );
            table.mistake("export", text);
        }
    }
    Some(export)
}

/// `formats = ["coco", "yolo", "hf"]`, each once, in an order of our own.
pub(super) fn formats(table: &mut Table, export: Option<&Export>) -> Vec<Format> {
    let Some(words) = table.strings("formats") else {
        return Vec::new();
    };
    let is = |format: &Format| words.iter().any(|word| word == format.as_str());
    let formats: Vec<Format> = Format::ALL.into_iter().filter(is).collect();
    let known = |word: &String| Format::ALL.iter().any(|format| format.as_str() == word);
    let of_images = formats.iter().find(|format| format.needs_files());
    if !words.iter().all(known) {
        table.mistake("formats", "may hold \"coco\", \"yolo\" and \"hf\" only");
    } else if words.len() != formats.len() {
        table.mistake("formats", "names a format twice");
    } else if export.is_none() && !formats.is_empty() {
        let text = "are written of an export: take export = false away";
        table.mistake("formats", text);
    } else if let (Some(format), Some(Export { files: false, .. })) = (of_images, export) {
        let text = format!(
            "{:?} is of images, which are fetched only if you write export = {{ files = true }}",
            format.as_str()
        );
        table.mistake("formats", text);
    }
    formats
}

pub(super) fn preflight(table: &mut Table, export: Option<&Export>) -> Preflight {
    let Some(mut given) = table.table("preflight") else {
        return Preflight::default();
    };
    if export.is_none() {
        table.mistake("preflight", "has nothing to look at without an export");
    }
    let mut least = |key: &str| given.integer(key, 0..u32::MAX).unwrap_or(0);
    let preflight = Preflight {
        training: least("training"),
        validation: least("validation"),
        test: least("test"),
        every_class_labelled: given.boolean("every_class_labelled").unwrap_or(false),
    };
    table.adopt(given);
    preflight
}

/// Required unless nothing is exported: then nobody could know what to predict.
pub(super) fn predictions(table: &mut Table, export: Option<&Export>) -> Predictions {
    let default = match export {
        Some(_) => Predictions::Required,
        None => Predictions::None,
    };
    let predictions = match table.string("predictions").as_deref() {
        None => default,
        Some("required") => Predictions::Required,
        Some("optional") => Predictions::Optional,
        Some("none") => Predictions::None,
        Some(_) => {
            let text = "must be \"required\", \"optional\" or \"none\"";
            table.mistake("predictions", text);
            default
        }
    };
    if export.is_none() && predictions != Predictions::None {
        let text = "cannot be checked without an export: take export = false away";
        table.mistake("predictions", text);
    }
    predictions
}

/// How many predictions may be refused.
pub(super) fn max_row_errors(table: &mut Table, predictions: Predictions) -> Tolerance {
    if predictions == Predictions::None && table.has("max_row_errors") {
        let text = "has nothing to count: no predictions of this model are imported";
        table.mistake("max_row_errors", text);
    }
    table.tolerance("max_row_errors").unwrap_or_default()
}
