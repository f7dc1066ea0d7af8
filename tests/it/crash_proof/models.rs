//! The models that the kills are tried with, and what they leave for Labelbox.

use serde_json::json;

use super::carried;
use crate::{export, support::stack::model};

/// Every command notes its launch when it starts; nothing else does.
pub(super) const NOTE: &str = "echo $TRAINHOOK_LAUNCH_ID >> starts; ";

/// What the models `predicting`, `mirrored` and `carried` leave for Labelbox, in three imports.
pub(super) const PREDICTIONS: usize = 5;

pub(super) const MODELS: [&str; 9] = [
    "quick",
    "short",
    "long",
    "wrong",
    "shaky",
    "forking",
    "data",
    "predicting",
    "mirrored",
];

pub(super) fn models() -> String {
    let quickly = "retry = { max = 5, backoff = \"20ms\" }\ncancel_grace = \"100ms\"\n\
                   max_starts_per_day = \"none\"";
    let scripts = [
        ("quick", "true"),
        ("short", "sleep 0.1"),
        ("long", "sleep 0.6"),
        ("wrong", "sleep 0.05; echo too few labels >&2; exit 3"),
        ("shaky", "[ $TRAINHOOK_ATTEMPT -ge 3 ] || exit 75"),
        ("forking", "sleep 30 & sleep 0.2"),
    ];
    let models = scripts.map(|(name, script)| model(name, &format!("{NOTE}{script}"), quickly));
    let has_its_data = format!("{NOTE}[ $(wc -l < $TRAINHOOK_TRAINING_FILE) = 160 ] || exit 4");
    let data = export::model("data", &has_its_data, quickly);
    let hands_over = format!("{NOTE}cp predictions.ndjson $TRAINHOOK_OUT_DIR/");
    let settings = format!("{quickly}\nimport_lines = 2");
    let predicting = export::model("predicting", &hands_over, &settings);
    let predicting = predicting.replace("predictions = \"none\"", "predictions = \"required\"");
    let patient = format!("{NOTE}while [ ! -e release ]; do sleep 0.02; done");
    let carried = carried::model(quickly);
    models.concat() + &data + &predicting + &carried + &model("patient", &patient, quickly)
}

pub(super) fn predictions() -> String {
    let line = |row: usize| json!({"global_key": format!("row-{row:09}"), "name": "kind", "answer": "kind-a"});
    (0..PREDICTIONS)
        .map(|row| format!("{}\n", line(row)))
        .collect()
}
