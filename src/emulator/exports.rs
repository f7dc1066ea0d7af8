//! Export tasks: they take their time, and their result lies in files that are cut anywhere.
//!
//! Questions and answers: captured from labelbox 7.17.0.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    dataset::{Addresses, Content, Dataset, Wanted},
    document::Asked,
    graphql::Refusal,
    resolve::labelbox_time,
    signed::Signer,
    stored_file::StoredFile,
    world::World,
};

/// Older tasks leave beyond this number.
const TASK_LIMIT: usize = 1000;

/// All export tasks there are.
#[derive(Debug, Default)]
pub(super) struct Exports {
    tasks: HashMap<String, Task>,
    order: Vec<String>,
    /// What the next task will be like.
    pub(super) next: Next,
    /// Results of the tasks that the call at hand begins.
    pub(super) unmade: Vec<Unmade>,
}

/// What was wished for a task before there is one.
#[derive(Debug, Default)]
pub(super) struct Next {
    /// It fails like this.
    pub(super) failure: Option<String>,
    /// It takes this long.
    pub(super) takes: Option<Duration>,
}

#[derive(Debug)]
struct Task {
    id: String,
    name: Value,
    created_at: Timestamp,
    takes: Duration,
    failure: Option<String>,
    /// None if the run has no row.
    content: Option<Made>,
}

/// A task's result; empty until it is made.
type Made = Arc<OnceLock<Arc<Content>>>;

/// A result that is still to be made. That may take long, so it is done while others have their answers.
#[derive(Debug)]
pub(super) struct Unmade {
    dataset: Arc<Dataset>,
    wanted: Wanted,
    signer: Signer,
    now: Timestamp,
    made: Made,
}

impl Unmade {
    /// Makes it; the task is in progress until then.
    pub(super) fn make(&self) {
        let Self { signer, now, .. } = self;
        let addresses = Addresses {
            file: &|file| signer.address(&format!("/files/media/{file}"), *now),
            mask: &|mask| format!("{}/masks/{mask}", signer.base()),
        };
        let make = || Arc::new(Content::new(&self.dataset, &self.wanted, &addresses));
        self.made.get_or_init(make);
    }
}

pub(super) fn create(world: &mut World, asked: &Asked, now: Timestamp) -> Result<Value, Refusal> {
    let input = asked.arguments.get("input").unwrap_or(&Value::Null);
    let run = input["filters"]["modelRunId"].as_str();
    let run = run.ok_or_else(|| Refusal::invalid("input.filters.modelRunId must be an ID"))?;
    let run = world.run(run).ok_or_else(Refusal::not_found)?;
    if input["streamable"] != true {
        return Err(Refusal::invalid(
            "this emulator knows streamable exports only",
        ));
    }
    let flags = input["params"].as_object().into_iter().flatten();
    let wanted = Wanted {
        model_id: run.model_id.clone(),
        model_run_id: run.id.clone(),
        name: run.name.clone(),
        parts: flags
            .filter(|(_, on)| **on == true)
            .map(|(name, _)| name.clone())
            .collect(),
    };
    let dataset = run.dataset.clone().filter(|dataset| !dataset.is_empty());
    let unmade = dataset.map(|dataset| Unmade {
        dataset,
        wanted,
        signer: world.signer.clone(),
        now,
        made: Made::default(),
    });
    let next = std::mem::take(&mut world.exports.next);
    let task = Task {
        id: format!("cl0task{}", &Uuid::new_v4().simple().to_string()[..18]),
        name: input["taskName"].clone(),
        created_at: now,
        takes: next.takes.unwrap_or(world.timing.export_takes),
        failure: next.failure,
        content: unmade.as_ref().map(|unmade| Arc::clone(&unmade.made)),
    };
    let answer = json!({ "taskId": task.id, "isStreamable": true });
    world.exports.add(task);
    world.exports.unmade.extend(unmade);
    Ok(answer)
}

pub(super) fn task(world: &mut World, asked: &Asked, now: Timestamp) -> Result<Value, Refusal> {
    let id = super::resolve::id_in(asked, "where")?;
    let task = world.exports.tasks.get(id).ok_or_else(Refusal::not_found)?;
    let mut shown = task.show(now);
    let is_result = |arguments: &serde_json::Map<String, Value>| {
        arguments.get("streamType") == Some(&json!("RESULT"))
    };
    if let Some(arguments) = asked.below("exportMetadataHeader") {
        let content = task.result(now).filter(|_| is_result(arguments));
        shown["exportMetadataHeader"] = content.map_or(
            Value::Null,
            |content| json!({ "totalSize": content.len(), "totalLines": content.lines() }),
        );
    }
    if let Some(arguments) = asked.below("exportFileFromOffset") {
        let content = task.result(now).filter(|_| is_result(arguments));
        shown["exportFileFromOffset"] = match content {
            Some(content) => world.file_from_offset(id, content, arguments.get("offset"), now)?,
            None => Value::Null,
        };
    }
    Ok(shown)
}

impl World {
    /// Whoever asks for an offset gets the file that begins there: the files are cut by who asks.
    fn file_from_offset(
        &self,
        task: &str,
        content: &Content,
        offset: Option<&Value>,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let offset = offset
            .and_then(Value::as_str)
            .and_then(|text| text.parse::<usize>().ok());
        let offset = offset.ok_or_else(|| Refusal::invalid("offset must be a UInt64 as text"))?;
        if offset >= content.len() {
            return Ok(Value::Null);
        }
        let file_bytes = self.timing.file_bytes.max(1);
        let start = offset / file_bytes * file_bytes;
        let end = (start + file_bytes).min(content.len());
        let path = format!("/files/exports/{task}/{start}-{end}");
        Ok(json!({
            "offsets": { "start": start, "end": end - 1 },
            // The SDK's authors say that these are not reliable; so here.
            "lines": { "start": 0, "end": 0 },
            "file": self.signer.address(&path, now),
        }))
    }
}

impl Exports {
    fn add(&mut self, task: Task) {
        if self.order.len() == TASK_LIMIT {
            self.tasks.remove(&self.order.remove(0));
        }
        self.order.push(task.id.clone());
        self.tasks.insert(task.id.clone(), task);
    }

    /// The tasks that are as `wanted`, by field; all of them, the newest first, if nothing is named.
    pub(super) fn list(&self, wanted: Option<&Value>, now: Timestamp) -> Value {
        let shown = self.order.iter().rev().filter_map(|id| self.tasks.get(id));
        let shown = shown.map(|task| task.show(now));
        let fields = || wanted.and_then(Value::as_object).into_iter().flatten();
        let is_wanted = |task: &Value| fields().all(|(field, value)| task[field] == *value);
        shown.filter(is_wanted).take(100).collect()
    }

    /// A piece of a task's result, by `<start>-<end>`.
    pub(super) fn file(&self, task: &str, range: &str) -> Option<StoredFile> {
        let (start, end) = range.split_once('-')?;
        let content = self.tasks.get(task)?.content.as_ref()?.get()?;
        let (start, end) = (start.parse().ok()?, end.parse().ok()?);
        Some(StoredFile::piece(content, start, end))
    }

    /// Whatever is in progress is done.
    pub(super) fn finish(&mut self) {
        for task in self.tasks.values_mut() {
            task.takes = Duration::ZERO;
        }
    }

    /// How many tasks there were.
    pub(super) fn count(&self) -> usize {
        self.order.len()
    }
}

impl Task {
    fn status(&self, now: Timestamp) -> &'static str {
        match now < self.created_at + self.takes {
            true => "IN_PROGRESS",
            false if self.failure.is_some() => "FAILED",
            false
                if self
                    .content
                    .as_ref()
                    .is_some_and(|made| made.get().is_none()) =>
            {
                "IN_PROGRESS"
            }
            false => "COMPLETE",
        }
    }

    fn result(&self, now: Timestamp) -> Option<&Content> {
        let content = self.content.as_ref()?.get()?;
        (self.status(now) == "COMPLETE").then_some(content)
    }

    fn show(&self, now: Timestamp) -> Value {
        let status = self.status(now);
        let passed = now.duration_since(self.created_at).as_secs_f64();
        let percent = match status {
            "IN_PROGRESS" => {
                (passed / self.takes.as_secs_f64().max(0.001) * 100.0).clamp(0.0, 99.0)
            }
            _ => 100.0,
        };
        json!({
            "id": self.id,
            "name": self.name,
            "status": status,
            "completionPercentage": percent,
            "errors": self.failure.as_ref().filter(|_| status == "FAILED"),
            "result": null,
            "type": "export-data-rows",
            "metadata": {},
            "createdAt": labelbox_time(self.created_at),
            "updatedAt": labelbox_time(now),
        })
    }
}
