//! Jobs of a Kubernetes cluster, over its API.
//!
//! A launch is a batch/v1 Job of that name with one pod and no second try, so making it again is refused by the name.
//! Its variables are in a Secret of the same name. What has ended stays, as evidence, until it is cleaned up; whatever does not bear
//! our server's label is never touched.

mod access;
mod check;
mod cluster;
mod ends;
mod fault;
mod fields;
mod handle;
mod log;
mod look;
mod manifest;
mod merge;
mod names;
mod phase;
mod plugin;
mod pod;
mod settings;
mod stop;
mod submit;
mod table;
mod words;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;

use super::{
    BuildContext, Built, CancelOutcome, Executor, Found, Launch, QueryError, SubmitError, Trial,
};
use crate::{
    config::Table,
    job::{Handle, LaunchId, Observation, Place},
};
use cluster::Cluster;
use fault::Fault;
use handle::JobHandle;
use manifest::Manifests;
use settings::{Pod, Settings};

/// Builds it from its table. Asks the cluster nothing: it may be away, and come.
///
/// # Errors
/// What is wrong with the table.
pub fn build(table: &mut Table, context: &BuildContext<'_>) -> Built {
    let settings = Settings::take(table, context.folder);
    Ok(Arc::new(KubernetesExecutor { settings }))
}

/// Runs launches as Jobs of a cluster.
#[derive(Debug)]
struct KubernetesExecutor {
    settings: Settings,
}

impl KubernetesExecutor {
    /// The cluster, with the namespace of new Jobs.
    async fn cluster(&self) -> Result<Cluster, Fault> {
        self.settings.access.cluster().await
    }

    /// The cluster that has this attempt, with the namespace of its Job.
    async fn cluster_of(&self, handle: &Handle) -> Result<(Cluster, JobHandle), QueryError> {
        let own = JobHandle::unpack(handle)?;
        let cluster = self.cluster_at(&own.namespace).await?;
        match cluster.has(handle).await {
            Ok(()) => Ok((cluster, own)),
            Err(fault) => Err(self.settings.access.noted(fault).await.into()),
        }
    }

    async fn cluster_at(&self, namespace: &str) -> Result<Cluster, Fault> {
        let cluster = self.cluster().await?;
        if namespace.is_empty() {
            return Ok(cluster);
        }
        Ok(cluster.with_namespace(namespace))
    }
}

#[async_trait]
impl Executor for KubernetesExecutor {
    async fn submit(&self, launch: &Launch) -> Result<Handle, SubmitError> {
        self.bring_up(launch).await
    }

    async fn find(&self, launch: &Launch) -> Result<Found, QueryError> {
        self.look_up(launch).await
    }

    async fn observe(&self, handles: &[Handle]) -> Vec<Result<Observation, QueryError>> {
        self.look(handles).await
    }

    async fn cancel(&self, handle: &Handle, grace: Duration) -> Result<CancelOutcome, QueryError> {
        self.stop(handle, grace).await
    }

    async fn cleanup(&self, handle: &Handle) -> Result<(), QueryError> {
        self.remove(handle).await
    }

    fn handle_of(
        &self,
        launch_id: LaunchId,
        attempt_dir: &Path,
        server_id: &str,
    ) -> Option<Handle> {
        // Where the file names no namespace, it is the one that the cluster's context had.
        let namespace = self
            .settings
            .access
            .namespace
            .as_deref()
            .unwrap_or_default();
        JobHandle::by_name(namespace, server_id, attempt_dir)
            .pack(launch_id)
            .ok()
    }

    async fn place(&self) -> Result<Option<Place>, QueryError> {
        Ok(Some(self.cluster().await?.place_as_known().await))
    }

    fn check_model(&self, table: &mut Table) {
        Pod::take_of_model(table);
    }

    fn check_launch(&self, launch: &Launch) -> Result<(), String> {
        Manifests::new(&self.settings, None, launch).map(drop)
    }

    async fn try_launch(&self, launch: &Launch) -> Result<Option<Trial>, QueryError> {
        let words = self.try_out(launch).await?;
        Ok(Some(Trial::Fine(words)))
    }

    async fn plan(&self, launch: &Launch) -> Result<String, SubmitError> {
        // Known without asking anybody, if the file says it.
        let namespace = self.settings.access.namespace.as_deref();
        let manifests = Manifests::new(&self.settings, namespace, launch);
        manifests
            .and_then(|manifests| manifests.shown())
            .map_err(SubmitError::Rejected)
    }

    async fn check(&self) -> Result<String, QueryError> {
        self.examine().await
    }

    async fn engine_log(&self, handle: &Handle) -> Option<String> {
        self.last_words(handle).await
    }

    fn keeps_ended(&self) -> bool {
        true
    }

    fn shares_files(&self) -> bool {
        self.settings.shares_files
    }

    fn program(&self) -> Option<PathBuf> {
        self.settings.program()
    }

    fn poll_pause(&self) -> Duration {
        self.settings.pause
    }
}
