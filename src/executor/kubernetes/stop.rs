//! Ending Jobs, and removing them.

use std::time::Duration;

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams, Preconditions},
};

use super::{
    KubernetesExecutor,
    cluster::{Cluster, ask},
    fault::Fault,
    handle::{JobHandle, LAUNCH_LABEL},
    phase::has_condition,
    pod::SUPERVISOR_GRACE,
};
use crate::{
    executor::{CancelOutcome, QueryError, wish::wish_cancel_in},
    job::Handle,
};

/// What is to be gone is looked for so often, so long.
const LOOKS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);

impl KubernetesExecutor {
    /// Ends the pod and keeps the Job, which tells how it ended; what has not begun leaves nothing to be told.
    pub(super) async fn stop(
        &self,
        handle: &Handle,
        grace: Duration,
    ) -> Result<CancelOutcome, QueryError> {
        let (cluster, handle) = self.cluster_of(handle).await?;
        let Some(job) = own_job(&cluster, &handle).await? else {
            return Ok(CancelOutcome::AlreadyEnded);
        };
        if is_over(&job) {
            return Ok(CancelOutcome::AlreadyEnded);
        }
        let pods = own_pods(&cluster, &handle).await?;
        if !pods.iter().any(has_begun) {
            // A pod that begins in this moment is ended with the grace of its own.
            remove(&cluster, &job, &DeleteParams::background()).await?;
            return Ok(CancelOutcome::Requested);
        }
        if !grace.is_zero() {
            wish_cancel_in(handle.attempt_dir.clone(), grace).await?;
        }
        let grace = match grace.is_zero() {
            true => Duration::ZERO,
            false => grace + SUPERVISOR_GRACE,
        };
        end_pods(&cluster, &pods, grace).await?;
        Ok(CancelOutcome::Requested)
    }

    /// Ends and removes all that is the attempt's, and says so only when it is gone.
    pub(super) async fn remove(&self, handle: &Handle) -> Result<(), QueryError> {
        let (cluster, handle) = self.cluster_of(handle).await?;
        if let Some(job) = own_job(&cluster, &handle).await? {
            // The Job stays until its pods are gone.
            remove(&cluster, &job, &DeleteParams::foreground()).await?;
        }
        let mut looks = 0;
        loop {
            let pods = own_pods(&cluster, &handle).await?;
            let is_gone = pods.is_empty() && own_job(&cluster, &handle).await?.is_none();
            if is_gone {
                break;
            }
            if looks == 0 {
                end_pods(&cluster, &pods, Duration::ZERO).await?;
            }
            looks += 1;
            if looks > LOOKS {
                return Err(QueryError("Kubernetes has not removed it yet".to_owned()));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(remove_secret(&cluster, &handle).await?)
    }
}

/// None if there is no such Job, or it is not the attempt's.
async fn own_job(cluster: &Cluster, handle: &JobHandle) -> Result<Option<Job>, Fault> {
    let found = ask(cluster.jobs().get_opt(&handle.launch)).await?;
    Ok(found.filter(|job| handle.is_on(Some(job.labels()))))
}

pub(super) async fn own_pods(cluster: &Cluster, handle: &JobHandle) -> Result<Vec<Pod>, Fault> {
    let selector = format!("{LAUNCH_LABEL}={}", handle.launch);
    let listed = ask(cluster
        .pods()
        .list(&ListParams::default().labels(&selector)))
    .await?;
    let own = listed.items.into_iter();
    Ok(own.filter(|pod| handle.is_on(Some(pod.labels()))).collect())
}

fn is_over(job: &Job) -> bool {
    has_condition(job, "Complete") || has_condition(job, "Failed")
}

/// Whether its supervisor may have begun: then it has the time to end well.
fn has_begun(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    !matches!(phase, None | Some("Pending"))
}

/// SIGTERM, and SIGKILL after the grace. A second wish may only shorten it.
async fn end_pods(cluster: &Cluster, pods: &[Pod], grace: Duration) -> Result<(), Fault> {
    // Without a second of grace the API would forget a pod before its node has ended it.
    let seconds = u32::try_from(grace.as_secs()).unwrap_or(u32::MAX).max(1);
    for pod in pods {
        let params = DeleteParams {
            grace_period_seconds: Some(seconds),
            ..of_uid(pod.uid())
        };
        fine(ask(cluster.pods().delete(&pod.name_any(), &params)).await)?;
    }
    Ok(())
}

async fn remove(cluster: &Cluster, job: &Job, params: &DeleteParams) -> Result<(), Fault> {
    let params = DeleteParams {
        preconditions: of_uid(job.uid()).preconditions,
        ..params.clone()
    };
    fine(ask(cluster.jobs().delete(&job.name_any(), &params)).await)
}

async fn remove_secret(cluster: &Cluster, handle: &JobHandle) -> Result<(), Fault> {
    let found = ask(cluster.secrets().get_opt(&handle.launch)).await?;
    match found.filter(|secret| handle.is_on(Some(secret.labels()))) {
        Some(secret) => {
            let params = of_uid(secret.uid());
            fine(ask(cluster.secrets().delete(&handle.launch, &params)).await)
        }
        None => Ok(()),
    }
}

/// Only this object, and no later one of the same name.
fn of_uid(uid: Option<String>) -> DeleteParams {
    let preconditions = Preconditions {
        uid,
        resource_version: None,
    };
    DeleteParams {
        preconditions: Some(preconditions),
        ..DeleteParams::default()
    }
}

/// What is gone already, or another one by now, need not be removed.
fn fine<T>(removed: Result<T, Fault>) -> Result<(), Fault> {
    match removed {
        Err(fault) if fault.is_absence() || fault.code() == Some(409) => Ok(()),
        removed => removed.map(drop),
    }
}
