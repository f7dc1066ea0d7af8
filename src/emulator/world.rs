//! Everything the emulated Labelbox knows, in memory and bounded.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    Timing,
    dataset::Dataset,
    exports::Exports,
    faults::Faults,
    imports::{Imports, NextImport},
    run::{ModelRun, Pipeline, TimelineEntry},
    signed::Signer,
};

/// The id of the one user there is; in the shape of Labelbox's.
pub(super) const USER_ID: &str = "cl0emulateduser0000000000";

/// The oldest model run leaves beyond this number.
const RUN_LIMIT: usize = 100_000;

/// The oldest recorded request leaves beyond this number…
const REQUEST_LIMIT: usize = 10_000;

/// …and beyond this many bytes of bodies.
const REQUEST_BYTES_LIMIT: usize = 64 << 20;

/// A call of Labelbox's API, as it came in; also one that was refused or spoiled by a fault.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedRequest {
    /// When it was complete.
    pub at: Timestamp,
    /// The path.
    pub path: String,
    /// Names in lower case and values, in order; the API key is not shown.
    pub headers: Vec<(String, String)>,
    /// The body's JSON; text if it is none.
    pub body: Value,
    /// The operation's name, if the query could be read and has one.
    pub operation: Option<String>,
    /// The first root field, if the query could be read.
    pub root_field: Option<String>,
    #[serde(skip)]
    pub(super) bytes: usize,
}

/// The state behind the emulator.
#[derive(Debug)]
pub(super) struct World {
    pub(super) timing: Timing,
    pub(super) signer: Signer,
    pub(super) exports: Exports,
    pub(super) next_import: NextImport,
    /// The file of the call that is being carried out.
    pub(super) upload: Option<Bytes>,
    /// What every new run gets.
    pub(super) dataset: Option<Arc<Dataset>>,
    file_requests: Vec<String>,
    runs: HashMap<String, ModelRun>,
    run_order: VecDeque<String>,
    requests: VecDeque<RecordedRequest>,
    request_bytes: usize,
    pub(super) faults: Faults,
    /// Updates accepted since they were last taken, for those who listen.
    pub(super) news: Vec<(String, TimelineEntry)>,
}

impl World {
    pub(super) fn new(base: String, timing: Timing, dataset: Option<Arc<Dataset>>) -> Self {
        Self {
            signer: Signer::new(base, timing.addresses_hold),
            timing,
            exports: Exports::default(),
            next_import: NextImport::default(),
            upload: None,
            dataset,
            file_requests: Vec::new(),
            runs: HashMap::new(),
            run_order: VecDeque::new(),
            requests: VecDeque::new(),
            request_bytes: 0,
            faults: Faults::default(),
            news: Vec::new(),
        }
    }

    /// A new run under a new id; under a new model if none is named.
    pub(super) fn create_run(
        &mut self,
        model_id: Option<&str>,
        name: &str,
        now: Timestamp,
    ) -> &mut ModelRun {
        if self.run_order.len() == RUN_LIMIT
            && let Some(oldest) = self.run_order.pop_front()
        {
            self.runs.remove(&oldest);
        }
        let run = ModelRun {
            id: new_id(),
            model_id: model_id.map_or_else(new_id, str::to_owned),
            name: name.to_owned(),
            created_at: now,
            updated_at: now,
            config: None,
            pipeline: Pipeline::default(),
            timeline: Vec::new(),
            dataset: self.dataset.clone(),
            splits: HashMap::new(),
            imports: Imports::default(),
        };
        self.run_order.push_back(run.id.clone());
        self.runs.entry(run.id.clone()).or_insert(run)
    }

    /// Whether there was such a run.
    pub(super) fn delete_run(&mut self, id: &str) -> bool {
        self.run_order.retain(|other| other != id);
        self.runs.remove(id).is_some()
    }

    pub(super) fn run(&self, id: &str) -> Option<&ModelRun> {
        self.runs.get(id)
    }

    pub(super) fn run_mut(&mut self, id: &str) -> Option<&mut ModelRun> {
        self.runs.get_mut(id)
    }

    /// The first run of a model.
    pub(super) fn run_of_model(&self, model_id: &str) -> Option<&ModelRun> {
        let runs = self.run_order.iter().filter_map(|id| self.runs.get(id));
        runs.into_iter().find(|run| run.model_id == model_id)
    }

    /// A file of some run's dataset.
    pub(super) fn media(&self, name: &str) -> Option<Bytes> {
        let datasets = self.runs.values().filter_map(|run| run.dataset.as_ref());
        datasets
            .chain(&self.dataset)
            .find_map(|dataset| dataset.media(name))
    }

    /// Remembers that a file was asked for.
    pub(super) fn count_file(&mut self, path: &str) {
        if self.file_requests.len() < REQUEST_LIMIT {
            self.file_requests.push(path.to_owned());
        }
    }

    pub(super) fn file_requests(&self) -> Vec<String> {
        self.file_requests.clone()
    }

    pub(super) fn update(&mut self, id: &str, entry: TimelineEntry) -> Option<&ModelRun> {
        let run = self.runs.get_mut(id)?;
        run.update(entry.clone());
        self.news.push((id.to_owned(), entry));
        Some(run)
    }

    pub(super) fn set_config(
        &mut self,
        id: &str,
        config: Option<Map<String, Value>>,
        now: Timestamp,
    ) -> Option<&ModelRun> {
        let run = self.runs.get_mut(id)?;
        run.config = config;
        run.updated_at = now;
        Some(run)
    }

    pub(super) fn record(&mut self, request: RecordedRequest) {
        self.request_bytes += request.bytes;
        self.requests.push_back(request);
        while self.requests.len() > REQUEST_LIMIT || self.request_bytes > REQUEST_BYTES_LIMIT {
            let oldest = self.requests.pop_front();
            self.request_bytes -= oldest.map_or(0, |oldest| oldest.bytes);
        }
    }

    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.iter().cloned().collect()
    }
}

/// An id as Labelbox makes them for models and runs: in the shape of a UUID, but of no UUID version.
fn new_id() -> String {
    // The second one, turned by half, covers the first one's fixed version bits with random ones.
    let bits = Uuid::new_v4().as_u128() ^ Uuid::new_v4().as_u128().rotate_left(61);
    Uuid::from_u128(bits).to_string()
}
