//! Containers of a Docker-compatible engine, over its API.
//!
//! The attempt's folder is mounted at its own path, so every path in `request.json` and every `TRAINHOOK_*` variable holds
//! inside as it does outside; lock, claim and record are the same files. Process ids are not: nothing here is known by one.

mod ask;
mod body;
mod check;
mod engine;
mod events;
mod handle;
mod handover;
mod look;
mod mounts;
mod pull;
mod settings;
mod start;
mod stop;
mod submit;
mod table;
mod words;

use std::{
    sync::{Arc, Once},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::Notify;

use super::{
    BuildContext, Built, CancelOutcome, Executor, Found, Launch, QueryError, SubmitError, Trial,
};
use crate::{
    config::Table,
    job::{Handle, Observation, Place},
};
use body::{Plan, as_body};
use pull::Pulls;
use settings::{Container, Settings};

/// Events tell of ends; this is the net below.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Many ends at once are one look.
const POLL_PAUSE: Duration = Duration::from_millis(50);

/// A free lock says that nobody runs any more, where the engine's containers run under our kernel.
const SETTLE: Duration = Duration::from_secs(120);

/// Builds it from its table. Asks the engine nothing: it may be away, and come.
///
/// # Errors
/// What is wrong with the table.
pub fn build(table: &mut Table, context: &BuildContext<'_>) -> Built {
    let settings = Settings::take(table, context.folder, context.state_dir).ok_or_else(Vec::new)?;
    Ok(Arc::new(ContainerExecutor {
        settings,
        pulls: Pulls::default(),
        wake: Arc::clone(&context.wake),
        listening: Once::new(),
    }))
}

/// Runs launches in containers.
#[derive(Debug)]
struct ContainerExecutor {
    settings: Settings,
    pulls: Pulls,
    wake: Arc<Notify>,
    listening: Once,
}

impl ContainerExecutor {
    /// From the first attempt on, the engine's events are listened to.
    fn listen(&self) {
        self.listening.call_once(|| {
            let wake = Arc::downgrade(&self.wake);
            tokio::spawn(events::listen(self.settings.engine.clone(), wake));
        });
    }
}

#[async_trait]
impl Executor for ContainerExecutor {
    async fn submit(&self, launch: &Launch) -> Result<Handle, SubmitError> {
        self.listen();
        self.bring_up(launch).await
    }

    async fn find(&self, launch: &Launch) -> Result<Found, QueryError> {
        self.look_up(launch).await
    }

    async fn observe(&self, handles: &[Handle]) -> Vec<Result<Observation, QueryError>> {
        self.listen();
        look::observe(&self.settings, handles).await
    }

    async fn cancel(&self, handle: &Handle, grace: Duration) -> Result<CancelOutcome, QueryError> {
        stop::cancel(&self.settings.engine, handle, grace).await
    }

    async fn cleanup(&self, handle: &Handle) -> Result<(), QueryError> {
        stop::cleanup(&self.settings.engine, handle).await
    }

    async fn place(&self) -> Result<Option<Place>, QueryError> {
        Ok(Some(self.settings.engine.place()))
    }

    fn check_model(&self, table: &mut Table) {
        Container::take_of_model(table, &self.settings.folder);
    }

    fn check_launch(&self, launch: &Launch) -> Result<(), String> {
        let plan = Plan::new(&self.settings, launch)?;
        as_body(plan.body).map(drop)
    }

    async fn try_launch(&self, launch: &Launch) -> Result<Option<Trial>, QueryError> {
        let words = check::try_launch(&self.settings, launch).await?;
        Ok(Some(Trial::Fine(words)))
    }

    async fn plan(&self, launch: &Launch) -> Result<String, SubmitError> {
        let plan = self.plan_of(launch).await.map_err(SubmitError::Rejected)?;
        let names: Vec<&str> = launch.env.keys().map(String::as_str).collect();
        let shown = json!({
            "POST": format!("/containers/create?name={}", launch.id),
            "body": plan.body,
            "variables sent to its standard input": names,
        });
        Ok(format!("{shown:#}\n"))
    }

    async fn check(&self) -> Result<String, QueryError> {
        check::check(&self.settings).await
    }

    async fn engine_log(&self, handle: &Handle) -> Option<String> {
        stop::last_words(&self.settings.engine, handle).await
    }

    fn devices(&self) -> Option<Vec<u32>> {
        Some(self.settings.gpus.clone())
    }

    fn shares_files(&self) -> bool {
        self.settings.shares_files
    }

    fn keeps_ended(&self) -> bool {
        true
    }

    fn settle(&self) -> Duration {
        match self.settings.locks_hold() {
            true => Duration::ZERO,
            false => SETTLE,
        }
    }

    fn poll_interval(&self) -> Duration {
        POLL_INTERVAL
    }

    fn poll_pause(&self) -> Duration {
        POLL_PAUSE
    }
}
