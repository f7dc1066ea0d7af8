//! Labelbox's side, in memory: for demos, for tests, and for trials without an account.
//!
//! It answers GraphQL at `/graphql` and `/_gql` as Labelbox's own Python SDK expects, keeps what was reported to
//! each model run, goes wrong on demand, and clicks **Train model** on a server. Nothing of the program's
//! own client is used here, so that each checks the other. Whatever is a guess about Labelbox is marked as one.

mod click;
mod control;
mod data_rows;
mod dataset;
mod document;
mod exports;
mod faultable;
mod faults;
mod files;
mod graphql;
mod imports;
mod labelbox;
mod lexer;
mod listener;
mod multipart;
mod png;
mod query;
mod resolve;
mod run;
mod schema;
mod selection;
mod shared;
mod signed;
mod stored_file;
mod world;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::{
    net::TcpListener,
    sync::broadcast,
    task::{AbortHandle, JoinHandle},
};

use crate::config::Secret;
use shared::Shared;

pub use click::{Answer, CallError, ModelRunRequest, Webhook};
pub use dataset::{Dataset, DatasetError};
pub use faults::{Fault, FaultKind, HOLD_LIMIT};
pub use imports::{FeatureSummary, ImportSummary, PredictionSummary};
pub use run::{ERROR_MESSAGE_LIMIT, Pipeline, STATUSES, TimelineEntry};
pub use shared::{Timeout, Update};
pub use world::RecordedRequest;

/// How the emulator behaves.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The one API key that is accepted; any key that is not empty if none.
    pub api_key: Option<Secret>,
    /// How long things take, and how large they are.
    pub timing: Timing,
    /// What every new run has; none has any data if none.
    pub dataset: Option<Arc<Dataset>>,
}

/// How long things take at the emulated Labelbox, and how large they are.
#[derive(Debug, Clone)]
pub struct Timing {
    /// An export task is in progress for this long. Default 200 ms.
    pub export_takes: Duration,
    /// An import runs for this long. Default 200 ms.
    pub import_takes: Duration,
    /// The result of an export lies in files of so many bytes. Default 1 MiB.
    pub file_bytes: usize,
    /// Addresses of files hold for this long. Default one hour.
    pub addresses_hold: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            export_takes: Duration::from_millis(200),
            import_takes: Duration::from_millis(200),
            file_bytes: 1 << 20,
            addresses_hold: Duration::from_secs(3600),
        }
    }
}

/// A running emulator. It stops when it is dropped.
#[derive(Debug)]
pub struct Emulator {
    shared: Arc<Shared>,
    server: JoinHandle<()>,
    _abort: AbortOnDrop,
}

/// A click on **Train model** to be made.
#[derive(Debug, Clone)]
pub struct Click {
    /// The server's base, as it would be registered in Labelbox.
    pub url: String,
    /// The webhook secret that the server knows.
    pub secret: Secret,
    /// A run of this emulator.
    pub model_run_id: String,
    /// The model type to pick; the first one listed if none.
    pub model_type: Option<String>,
}

/// What a click led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClickOutcome {
    /// The answer to `GET /models`.
    pub models: Answer,
    /// The answer to `POST /model_run`; none if the models answer left nothing to pick.
    pub model_run: Option<Answer>,
}

/// Why a click could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClickError {
    /// There is no such run here.
    #[error("no model run {0} in this emulator: create it first")]
    UnknownRun(String),
    /// The server cannot be called.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Emulator {
    /// Serves on `listener` in a task of its own; to be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the listener does not know its address.
    pub fn start(listener: TcpListener, options: Options) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(listener.local_addr()?, options));
        let server = tokio::spawn(listener::serve(listener, Arc::clone(&shared)));
        Ok(Self {
            shared,
            _abort: AbortOnDrop(server.abort_handle()),
            server,
        })
    }

    /// Closes the listener and every connection, and returns when they are closed.
    pub async fn stop(self) {
        self.server.abort();
        // The only error here is the abort that was asked for.
        let _ = self.server.await;
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// What a client takes for Labelbox's address: `http://…/graphql`.
    #[must_use]
    pub fn graphql_url(&self) -> String {
        format!("http://{}/graphql", self.address())
    }

    /// The control surface's address: `http://…/control`.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("http://{}/control", self.address())
    }

    /// A new run, under a new model if none is named. Answers (model id, model run id).
    pub fn create_model_run(&self, model_id: Option<&str>, name: &str) -> (String, String) {
        self.shared.change(|world| {
            let run = world.create_run(model_id, name, Timestamp::now());
            (run.model_id.clone(), run.id.clone())
        })
    }

    /// Makes Labelbox forget the run; false if there was none.
    pub fn delete_model_run(&self, model_run_id: &str) -> bool {
        self.shared.change(|world| world.delete_run(model_run_id))
    }

    /// Sets or resets the run's config (`trainingMetadata`); false if there is no such run.
    pub fn set_config(&self, model_run_id: &str, config: Option<Map<String, Value>>) -> bool {
        self.shared.change(|world| {
            let run = world.set_config(model_run_id, config, Timestamp::now());
            run.is_some()
        })
    }

    /// Gives the run these data rows; false if there is no such run.
    pub fn set_dataset(&self, model_run_id: &str, dataset: Option<Arc<Dataset>>) -> bool {
        self.shared.change(|world| {
            let run = world.run_mut(model_run_id);
            run.map(|run| run.dataset = dataset).is_some()
        })
    }

    /// What was imported into the run; none for an unknown run.
    #[must_use]
    pub fn predictions(&self, model_run_id: &str) -> Option<PredictionSummary> {
        let now = Timestamp::now();
        let summary = |run: &run::ModelRun| run.imports.summary(run.dataset.as_deref(), now);
        self.shared
            .read(|world| world.run(model_run_id).map(summary))
    }

    /// Export tasks that are in progress are done now, whatever time they were to take.
    pub fn finish_exports(&self) {
        self.shared.change(|world| world.exports.finish());
    }

    /// How many export tasks there were.
    #[must_use]
    pub fn export_tasks(&self) -> usize {
        self.shared.read(|world| world.exports.count())
    }

    /// The paths of the files that were asked for, in order, the first 10,000.
    #[must_use]
    pub fn file_requests(&self) -> Vec<String> {
        self.shared.read(world::World::file_requests)
    }

    /// Every accepted update of the run, in order; empty for an unknown run.
    #[must_use]
    pub fn timeline(&self, model_run_id: &str) -> Vec<TimelineEntry> {
        self.shared.timeline(model_run_id)
    }

    /// What Labelbox shows of the run now; none for an unknown run.
    #[must_use]
    pub fn pipeline(&self, model_run_id: &str) -> Option<Pipeline> {
        let pipeline = |world: &world::World| world.run(model_run_id).map(|r| r.pipeline.clone());
        self.shared.read(pipeline)
    }

    /// The last 10,000 calls of the API (less if their bodies have over 64 MiB), oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.read(world::World::requests)
    }

    /// Spoils the next calls that `fault` fits; faults that fit the same call take turns in the order they were added.
    pub fn add_fault(&self, fault: Fault) {
        self.shared.change(|world| world.faults.add(fault));
    }

    /// Takes back every fault that still waits.
    pub fn clear_faults(&self) {
        self.shared.change(|world| world.faults.clear());
    }

    /// Every update accepted from now on; a listener over 1024 behind misses the oldest.
    #[must_use]
    pub fn updates(&self) -> broadcast::Receiver<Update> {
        self.shared.updates.subscribe()
    }

    /// Waits until the run's time-line is as `wanted`, and answers it.
    ///
    /// # Errors
    /// When it is not within `limit`; the error tells the time-line so far.
    pub async fn wait_for(
        &self,
        model_run_id: &str,
        limit: Duration,
        wanted: impl Fn(&[TimelineEntry]) -> bool + Send + Sync,
    ) -> Result<Vec<TimelineEntry>, Timeout> {
        let look = || self.timeline(model_run_id);
        self.shared.wait_until(limit, look, |t| wanted(t)).await
    }

    /// Waits until the recorded requests are as `wanted`, and answers them.
    ///
    /// # Errors
    /// When they are not within `limit`; the error tells the requests so far.
    pub async fn wait_for_requests(
        &self,
        limit: Duration,
        wanted: impl Fn(&[RecordedRequest]) -> bool + Send + Sync,
    ) -> Result<Vec<RecordedRequest>, Timeout> {
        let look = || self.requests();
        self.shared.wait_until(limit, look, |r| wanted(r)).await
    }

    /// Clicks **Train model**: `GET /models`, then `POST /model_run`, both signed as Labelbox does.
    ///
    /// # Errors
    /// When the run is unknown here, or the server gives no answer. A refusal of the server is an answer.
    pub async fn click(&self, click: Click) -> Result<ClickOutcome, ClickError> {
        self.shared.click(click).await
    }
}

#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
