//! Ray, by way of its Jobs API.
//!
//! Ray takes a submission id once, and the launch id is one, so a job has one name here and there. A head that is
//! restarted without a store of its own has forgotten every job, also those whose processes live on: that Ray knows
//! nothing of a job says that it is over only where no heart beats.

mod api;
mod check;
mod handle;
mod jobs;
mod nodes;
mod package;
mod settings;
mod states;
mod stop;
mod submission;
mod submit;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use serde_json::json;

use super::{
    BuildContext, Built, CancelOutcome, Executor, Found, Launch, QueryError, SubmitError, Trial,
    shell,
};
use crate::{
    config::{Supervisor, Table},
    job::{Handle, LaunchId, Observation, Place},
};
use api::Api;
use handle::RayHandle;
use jobs::Lookout;
use package::Packages;
use settings::{Options, Settings};
use stop::Ending;

/// Builds it from its table. Asks Ray nothing: it may be away, and come.
///
/// # Errors
/// What is wrong with the table.
pub fn build(table: &mut Table, context: &BuildContext<'_>) -> Built {
    let settings = Settings::take(table, context.folder).ok_or_else(Vec::new)?;
    let (address, token) = (settings.address.clone(), settings.token.clone());
    let api = Api::new(address, token, settings.call_timeout).map_err(|error| {
        table.mistake("address", format!("cannot be called: {error}"));
        Vec::new()
    })?;
    Ok(Arc::new(RayExecutor {
        api,
        settings,
        packages: Packages::default(),
        lookout: Lookout::default(),
        ending: Ending::default(),
    }))
}

/// Runs launches as jobs of a Ray cluster.
#[derive(Debug)]
struct RayExecutor {
    api: Api,
    settings: Settings,
    packages: Packages,
    lookout: Lookout,
    ending: Ending,
}

#[async_trait]
impl Executor for RayExecutor {
    async fn submit(&self, launch: &Launch) -> Result<Handle, SubmitError> {
        self.bring_up(launch).await
    }

    async fn find(&self, launch: &Launch) -> Result<Found, QueryError> {
        self.look_up(launch).await
    }

    async fn observe(&self, handles: &[Handle]) -> Vec<Result<Observation, QueryError>> {
        self.lookout.observe(&self.api, handles).await
    }

    async fn cancel(&self, handle: &Handle, grace: Duration) -> Result<CancelOutcome, QueryError> {
        self.end(handle, grace).await
    }

    async fn cleanup(&self, handle: &Handle) -> Result<(), QueryError> {
        self.clean_up(handle).await
    }

    fn handle_of(
        &self,
        launch_id: LaunchId,
        attempt_dir: &Path,
        server_id: &str,
    ) -> Option<Handle> {
        RayHandle::by_name(server_id, attempt_dir)
            .pack(launch_id)
            .ok()
    }

    async fn place(&self) -> Result<Option<Place>, QueryError> {
        Ok(Some(self.api.place()))
    }

    fn check_model(&self, table: &mut Table) {
        let _checked = Options::take(table);
    }

    fn check_launch(&self, launch: &Launch) -> Result<(), String> {
        let submission = self.settings.submission(launch, None);
        submission.map(drop).map_err(|error| error.to_string())
    }

    async fn try_launch(&self, launch: &Launch) -> Result<Option<Trial>, QueryError> {
        self.try_out(launch).await.map(Some)
    }

    async fn plan(&self, launch: &Launch) -> Result<String, SubmitError> {
        let submission = self.planned(launch).await?;
        let shown = json!({"POST": self.api.url("jobs/"), "body": submission.body});
        let file = match &submission.variables {
            None => String::new(),
            Some(file) => format!(
                "\n# {}, which only its owner can read:\n{}",
                file.display(),
                shell::exports(&launch.env)
            ),
        };
        Ok(format!("{shown:#}\n{file}"))
    }

    async fn check(&self) -> Result<String, QueryError> {
        self.look_around().await
    }

    async fn engine_log(&self, handle: &Handle) -> Option<String> {
        self.last_words(handle).await
    }

    fn shares_files(&self) -> bool {
        self.settings.shares_files
    }

    fn keeps_ended(&self) -> bool {
        true
    }

    fn program(&self) -> Option<PathBuf> {
        match &self.settings.supervisor {
            Supervisor::Path(path) => Some(path.clone()),
            Supervisor::Shared | Supervisor::Sent => None,
        }
    }

    fn poll_pause(&self) -> Duration {
        self.settings.poll_pause
    }
}
