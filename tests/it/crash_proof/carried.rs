//! A model that has rows and images brought to it and predictions taken back: the server is killed at steps all along
//! that way, as chance does with rows and predictions in `whatever_is_killed_whenever_every_promise_holds`, and with a
//! fixed point each in `export::restart`, `files::circle` and `upload::kills`.

use std::{collections::BTreeMap, fs, sync::Arc};

use serde_json::json;
use tempfile::TempDir;
use trainhook::emulator::Dataset;

use super::{
    Trial,
    models::{NOTE, PREDICTIONS},
    points, promises,
};
use crate::{
    downloads::hostile::{Hostile, whole},
    export,
    support::{
        skip,
        tracer::{can_trace, traced_program},
    },
};

/// What takes a step, and the how many-th of it in one thread: before these, a server is still about to start.
const STEPS: [(&str, &[usize]); 4] = [
    ("fsync", &[10, 12, 14, 16, 18, 20, 22, 24, 26]), // commits, pages, rows, notes of files, chunks
    ("rename", &[2, 4, 6, 8, 10, 12]),                // files that appear whole
    ("fdatasync", &[1, 2, 3]),                        // rows and their index
    ("writev", &[5, 8, 11, 14, 17]),                  // questions to Labelbox
];

/// Bytes of an image.
const IMAGE: usize = 1000;

/// How far a server had come that was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Task, splits, rows.
    Exporting,
    /// The rows are there, and images come in.
    Fetching,
    /// The command has ended, and its predictions go to Labelbox.
    Uploading,
}

pub(super) fn model(settings: &str) -> String {
    let bytes = PREDICTIONS * IMAGE;
    let script = format!(
        "{NOTE}[ $(cat $TRAINHOOK_DATA_DIR/files/* | wc -c) = {bytes} ] || exit 4; \
         cp predictions.ndjson $TRAINHOOK_OUT_DIR/"
    );
    let settings = format!("{settings}\nimport_lines = 2\nexport = {{ files = true }}");
    let model = export::model("carried", &script, &settings);
    model.replace("predictions = \"none\"", "predictions = \"required\"")
}

/// Rows whose images are at `images`, for the predictions that every model leaves.
fn pictured(images: &Hostile) -> (TempDir, Arc<Dataset>) {
    let line = |at: usize| {
        let answer = json!({ "name": "kind-a", "value": "kind-a", "classifications": [] });
        let answered = json!({ "name": "kind", "value": "kind", "radio_answer": answer });
        let label = json!({ "id": "label", "annotations": { "objects": [], "classifications": [answered] } });
        let row_data = images.url(&format!("/{at}.png"));
        let row = json!({
            "data_row": { "id": format!("own-{at}"), "global_key": format!("row-{at:09}"), "row_data": row_data },
            "media_attributes": { "mime_type": "image/png" },
            "experiments": { "m": { "runs": { "r": { "labels": [label] } } } },
        });
        format!("{row}\n")
    };
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = folder.path().join("export.ndjson");
    let lines: String = (0..PREDICTIONS).map(line).collect();
    fs::write(&file, lines).expect("the folder is writable");
    let dataset = Dataset::read(&file).expect("a dataset");
    (folder, dataset)
}

/// Where the newest job was when its server died.
fn death(trial: &Trial) -> Option<Stage> {
    if !points::has_died(trial) {
        return None;
    }
    let job = promises::rows(trial).pop()?;
    let server = trial
        .stack
        .folder
        .path()
        .join("jobs")
        .join(&job.id)
        .join("server");
    match &*job.state {
        "exporting" if server.join("files.ndjson").exists() => Some(Stage::Fetching),
        "exporting" => Some(Stage::Exporting),
        "uploading" => Some(Stage::Uploading),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_every_step_of_data_and_predictions_a_kill_breaks_no_promise() {
    if !can_trace() {
        return skip("kills at every step of data and predictions: strace cannot trace here");
    }
    let folder = tempfile::tempdir().expect("a folder for the test");
    let traced = traced_program(folder.path());
    let image = whole(&[b'x'; IMAGE], &[("content-type", "image/png")]);
    let images = Hostile::answering("127.0.0.1", image).await;
    let mut trial = Trial::start(0).await;
    let (_folder, dataset) = pictured(&images);
    trial.dataset = dataset;
    let mut deaths: BTreeMap<Stage, usize> = BTreeMap::new();
    for (call, counts) in STEPS {
        for &count in counts {
            let point = points::Point {
                model: "carried",
                call,
                count,
            };
            let mut died_at = None;
            let mut look = |trial: &Trial| died_at = died_at.or_else(|| death(trial));
            points::try_point(&mut trial, &traced, point, &mut look).await;
            if let Some(stage) = died_at {
                *deaths.entry(stage).or_default() += 1;
            }
        }
    }
    promises::hold(&trial).await;
    println!("servers died: {deaths:?}");
    let met = [Stage::Exporting, Stage::Fetching, Stage::Uploading];
    assert!(
        met.iter().all(|stage| deaths.contains_key(stage)),
        "the points are where they were: {deaths:?}"
    );
}
