//! Ray's jobs as its API shows them: one by its name, or all at once.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    api::{Api, Fault},
    handle::RayHandle,
    nodes::Nodes,
    states,
};
use crate::{
    executor::QueryError,
    job::{Handle, LaunchId, Observation, Phase},
};

/// The metadata that says whose a job is.
pub(super) const SERVER_KEY: &str = "trainhook_server";

/// Bytes read of one job: a message holds up to 20,000 characters, a runtime_env more.
const JOB_LIMIT: usize = 4 * 1024 * 1024;

/// Bytes read of the list, which has every job that Ray remembers, whoever submitted it.
const LIST_LIMIT: usize = 64 * 1024 * 1024;

/// So many jobs are asked for one by one.
const FEW: usize = 4;

/// Questions at once where jobs are asked for one by one.
const AT_ONCE: usize = 8;

/// A job, as far as it matters.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RayJob {
    #[serde(default)]
    submission_id: Option<String>,
    pub(super) status: String,
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default)]
    pub(super) error_type: Option<String>,
    #[serde(default)]
    pub(super) driver_exit_code: Option<i32>,
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
    #[serde(default)]
    entrypoint: Option<String>,
}

impl RayJob {
    /// Whether that server has made it.
    pub(super) fn is_of(&self, server: &str) -> bool {
        let said = self.metadata.as_ref();
        said.and_then(|metadata| metadata.get(SERVER_KEY)?.as_str()) == Some(server)
    }

    /// What Ray's monitor writes down of a job that was deleted under its eyes: its name, and that it failed.
    pub(super) fn is_ghost(&self) -> bool {
        let entrypoint = self.entrypoint.as_deref();
        self.is_over() && self.metadata.is_none() && entrypoint == Some("Entrypoint not found.")
    }

    /// A state that never changes again.
    pub(super) fn is_over(&self) -> bool {
        matches!(&*self.status, "SUCCEEDED" | "FAILED" | "STOPPED")
    }
}

impl Api {
    /// The job of that name; none if Ray has none, which after a crash of its head it says of all that were.
    pub(super) async fn job(&self, launch_id: LaunchId) -> Result<Option<RayJob>, Fault> {
        let answer = self.get(&format!("jobs/{launch_id}"), JOB_LIMIT).await;
        let bytes = match answer {
            Ok(bytes) => bytes,
            Err(fault) if fault.is_absence() => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let job = serde_json::from_slice(&bytes).map_err(|error| not_understood(&error))?;
        Ok(Some(job))
    }

    async fn list(&self) -> Result<HashMap<String, RayJob>, Fault> {
        let bytes = self.get("jobs/", LIST_LIMIT).await?;
        // Whoever parses megabytes holds up others.
        let parse = move || serde_json::from_slice::<Vec<RayJob>>(&bytes);
        let parsed = tokio::task::spawn_blocking(parse).await;
        let jobs = parsed.map_err(|error| Fault::Lost(error.to_string()))?;
        let jobs = jobs.map_err(|error| not_understood(&error))?;
        let named = |job: RayJob| Some((job.submission_id.clone()?, job));
        Ok(jobs.into_iter().filter_map(named).collect())
    }
}

fn not_understood(error: &serde_json::Error) -> Fault {
    Fault::Lost(format!("it cannot be understood: {error}"))
}

/// Looks at jobs in the way that costs Ray least.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    /// Others have filled the list with more than we read.
    list_is_too_long: AtomicBool,
    nodes: Nodes,
}

impl Lookout {
    /// One answer for each handle. What waits for more than any node has says so.
    pub(super) async fn observe(
        &self,
        api: &Api,
        handles: &[Handle],
    ) -> Vec<Result<Observation, QueryError>> {
        let mut seen = self.look(api, handles).await;
        for (handle, seen) in handles.iter().zip(&mut seen) {
            let Ok(seen) = seen else { continue };
            let Ok(RayHandle { needs, .. }) = RayHandle::unpack(handle) else {
                continue;
            };
            if seen.phase != Phase::Queued || needs.is_empty() {
                continue;
            }
            if let Some(lack) = self.nodes.largest(api).await.lacks(&needs) {
                seen.reason = Some(format!("waits in Ray's queue for {lack}"));
            }
        }
        seen
    }

    async fn look(&self, api: &Api, handles: &[Handle]) -> Vec<Result<Observation, QueryError>> {
        if handles.len() > FEW && !self.list_is_too_long.load(Ordering::Relaxed) {
            match api.list().await {
                Ok(listed) => return from_list(api, &listed, handles),
                Err(Fault::TooLong(_)) => self.list_is_too_long.store(true, Ordering::Relaxed),
                Err(fault) => return handles.iter().map(|_| Err(fault.clone().into())).collect(),
            }
        }
        let looks = handles.iter().cloned();
        let looks = looks.map(|handle| async move { one_by_one(api, &handle).await });
        futures_util::stream::iter(looks)
            .buffered(AT_ONCE)
            .collect()
            .await
    }
}

fn from_list(
    api: &Api,
    listed: &HashMap<String, RayJob>,
    handles: &[Handle],
) -> Vec<Result<Observation, QueryError>> {
    let look = |handle: &Handle| {
        let unpacked = api.own(handle)?;
        Ok(seen(listed.get(&handle.launch_id.to_string()), &unpacked))
    };
    handles.iter().map(look).collect()
}

async fn one_by_one(api: &Api, handle: &Handle) -> Result<Observation, QueryError> {
    let unpacked = api.own(handle)?;
    let job = api.job(handle.launch_id).await?;
    Ok(seen(job.as_ref(), &unpacked))
}

fn seen(job: Option<&RayJob>, handle: &RayHandle) -> Observation {
    match job.filter(|job| job.is_of(&handle.server)) {
        Some(job) => states::observation(job, handle),
        None => Observation {
            phase: Phase::Gone,
            reason: None,
            leftovers: false,
        },
    }
}
