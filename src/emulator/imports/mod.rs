//! Prediction imports: they take their time, and tell what became of each line.
//!
//! Questions and answers: captured from labelbox 7.17.0.

mod check;
mod summary;

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{dataset::Dataset, document::Asked, graphql::Refusal, world::World};
pub(super) use check::{Prediction, Verdict};
pub use summary::{FeatureSummary, ImportSummary, PredictionSummary};

/// All that was imported into one run.
#[derive(Debug, Default)]
pub(super) struct Imports {
    imports: BTreeMap<String, Import>,
    uuids: HashSet<Uuid>,
    predictions: Vec<Prediction>,
    metrics: u64,
    /// Files that came a second time under the same name.
    repeated: u64,
}

/// What was wished for an import before there is one.
#[derive(Debug, Default)]
pub(super) struct NextImport {
    /// It fails as a whole, and this is what its files tell; if this is empty, it has none.
    pub(super) failure: Option<String>,
    /// Every so many lines one is refused.
    pub(super) refuses_every: Option<u32>,
    /// It takes this long.
    pub(super) takes: Option<Duration>,
}

#[derive(Debug, Default)]
struct Import {
    id: String,
    created_at: Timestamp,
    takes: Duration,
    failed: bool,
    has_files: bool,
    lines: u64,
    refused: u64,
    statuses: Bytes,
    errors: Bytes,
}

pub(super) fn create(world: &mut World, asked: &Asked, now: Timestamp) -> Result<Value, Refusal> {
    let data = asked.arguments.get("data").unwrap_or(&Value::Null);
    let text = |key: &str| data[key].as_str().map(str::to_owned);
    let run_id = text("modelRunId").ok_or_else(|| Refusal::invalid("modelRunId must be an ID"))?;
    let name = text("name").ok_or_else(|| Refusal::invalid("name must be text"))?;
    let lines = match (&data["filePayload"], text("fileUrl")) {
        (Value::Object(_), _) => world.upload.take(),
        (_, Some(url)) => world.own_file(&url, now),
        _ => None,
    };
    let next = std::mem::take(&mut world.next_import);
    let takes = next.takes.unwrap_or(world.timing.import_takes);
    let run = world.run_mut(&run_id).ok_or_else(Refusal::not_found)?;
    if run.imports.imports.contains_key(&name) {
        run.imports.repeated += 1;
        // That a name is taken once only is known; how the second one is refused is a guess.
        return Err(Refusal::new(
            "RESOURCE_CONFLICT",
            "an import of that name exists",
        ));
    }
    let dataset = run.dataset.clone();
    let failure = next.failure.or_else(|| lines.is_none().then(String::new));
    let lines = lines.unwrap_or_default();
    let import = match failure {
        Some(message) => Import::failed(&lines, &message),
        None => run
            .imports
            .take_in(dataset.as_deref(), &lines, next.refuses_every),
    };
    let import = Import {
        id: format!("cl0import{}", &Uuid::new_v4().simple().to_string()[..16]),
        created_at: now,
        takes,
        ..import
    };
    run.imports.imports.insert(name.clone(), import);
    show_import(world, &run_id, &name, now)
}

pub(super) fn show(world: &mut World, asked: &Asked, now: Timestamp) -> Result<Value, Refusal> {
    let of = asked.arguments.get("where").unwrap_or(&Value::Null);
    let text = |key: &str| of[key].as_str().unwrap_or_default().to_owned();
    show_import(world, &text("modelRunId"), &text("name"), now)
}

fn show_import(world: &World, run_id: &str, name: &str, now: Timestamp) -> Result<Value, Refusal> {
    let run = world.run(run_id).ok_or_else(Refusal::not_found)?;
    let import = run
        .imports
        .imports
        .get(name)
        .ok_or_else(Refusal::not_found)?;
    let state = import.state(now);
    let file = |kind: &str| {
        let path = format!("/files/imports/{run_id}/{}/{kind}", import.id);
        (state != "RUNNING" && import.has_files).then(|| world.signer.address(&path, now))
    };
    let passed = now.duration_since(import.created_at).as_secs_f64();
    let percent = match state {
        "FINISHED" => 100.0,
        "FAILED" => 0.0,
        _ => (passed / import.takes.as_secs_f64() * 100.0).clamp(0.0, 99.0),
    };
    Ok(json!({
        "id": import.id,
        "modelRunId": run_id,
        "name": name,
        "state": state,
        "progress": format!("{percent:.0}%"),
        "inputFileUrl": file("input"),
        "errorFileUrl": file("errors"),
        "statusFileUrl": file("statuses"),
    }))
}

impl Import {
    /// One that takes none of these lines. That such imports have files, and what stands there, is a guess.
    fn failed(lines: &[u8], message: &str) -> Self {
        let mut errors = Vec::new();
        let lines = lines.split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.trim_ascii().is_empty()) {
            let parsed: Value = serde_json::from_slice(line).unwrap_or_default();
            let status = json!({
                "uuid": parsed["uuid"], "dataRow": parsed["dataRow"], "status": "FAILURE",
                "errors": [{ "name": "ImportError", "message": message }],
            });
            append(&mut errors, &status);
        }
        let errors = Bytes::from(errors);
        Self {
            failed: true,
            has_files: !message.is_empty(),
            statuses: errors.clone(),
            errors,
            ..Self::default()
        }
    }

    fn state(&self, now: Timestamp) -> &'static str {
        match now < self.created_at + self.takes {
            true => "RUNNING",
            false if self.failed => "FAILED",
            false => "FINISHED",
        }
    }
}

impl Imports {
    /// Takes what is good of these lines; answers what became of each.
    fn take_in(
        &mut self,
        dataset: Option<&Dataset>,
        lines: &[u8],
        refuses_every: Option<u32>,
    ) -> Import {
        let mut import = Import {
            has_files: true,
            ..Import::default()
        };
        let (mut statuses, mut errors) = (Vec::new(), Vec::new());
        let lines = lines.split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.trim_ascii().is_empty()) {
            import.lines += 1;
            let unlucky =
                refuses_every.is_some_and(|every| import.lines.is_multiple_of(every.max(1).into()));
            let status = self.take_line(dataset, line, unlucky);
            if status["status"] == "FAILURE" {
                import.refused += 1;
                append(&mut errors, &status);
            }
            append(&mut statuses, &status);
        }
        import.statuses = statuses.into();
        import.errors = errors.into();
        import
    }

    fn take_line(&mut self, dataset: Option<&Dataset>, line: &[u8], unlucky: bool) -> Value {
        let parsed: Value = serde_json::from_slice(line).unwrap_or_default();
        let verdict = match unlucky {
            true => Err("refused on demand".to_owned()),
            false => check::check(dataset, &parsed, &self.uuids),
        };
        let mut status = json!({
            "uuid": parsed["uuid"], "dataRow": parsed["dataRow"], "status": "SUCCESS", "errors": [],
        });
        match verdict {
            Ok(Verdict::Prediction(uuid, prediction)) => {
                self.uuids.insert(uuid);
                self.predictions.push(prediction);
            }
            Ok(Verdict::Metric) => self.metrics += 1,
            Err(message) => {
                status["status"] = json!("FAILURE");
                status["errors"] = json!([{ "name": "ValidationError", "message": message }]);
            }
        }
        status
    }

    /// `statuses` or `errors` of the import with that id.
    pub(super) fn file(&self, id: &str, kind: &str) -> Option<Bytes> {
        let import = self.imports.values().find(|import| import.id == id)?;
        match kind {
            "statuses" => Some(import.statuses.clone()),
            "errors" => Some(import.errors.clone()),
            _ => None,
        }
    }
}

fn append(lines: &mut Vec<u8>, status: &Value) {
    lines.extend(status.to_string().into_bytes());
    lines.push(b'\n');
}
