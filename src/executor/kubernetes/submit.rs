//! Making a Job, once: its name is the launch id, so a second one of it cannot be.

use k8s_openapi::api::{batch::v1::Job, core::v1::Secret};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{
    KubernetesExecutor,
    cluster::{Cluster, ask},
    fault::Fault,
    handle::{JobHandle, are_of},
    manifest::Manifests,
};
use crate::{
    executor::{Found, Launch, QueryError, SubmitError},
    job::Handle,
    job_dir::{AttemptDir, files},
};

impl KubernetesExecutor {
    pub(super) async fn bring_up(&self, launch: &Launch) -> Result<Handle, SubmitError> {
        let manifests = Manifests::new(&self.settings, None, launch);
        let manifests = manifests.map_err(SubmitError::Rejected)?;
        name_workdir(launch, manifests.workdir.clone()).await?;
        let cluster = self.cluster().await.map_err(Fault::of_submit)?;
        let place = match cluster.place().await {
            Ok(place) => place,
            // Nothing was asked of it that matters.
            Err(fault) => {
                let fault = self.settings.access.noted(fault).await;
                return Err(SubmitError::Transient(fault.to_string()));
            }
        };
        if let Some(secret) = &manifests.secret {
            keep_secret(&cluster, secret, launch).await?;
        }
        match self.make(&cluster, &manifests.job, launch).await {
            Ok(job) => {
                if manifests.secret.is_some() {
                    bind_secret(&cluster, &job).await;
                }
                Ok(pack(&cluster, &job, launch)?.at(place))
            }
            Err(error) => {
                if matches!(error, SubmitError::Rejected(_)) {
                    drop_secret(&cluster, launch).await;
                }
                Err(error)
            }
        }
    }

    /// Makes the Job, or finds the one that an earlier submit has made.
    async fn make(
        &self,
        cluster: &Cluster,
        job: &Job,
        launch: &Launch,
    ) -> Result<Job, SubmitError> {
        let jobs = cluster.jobs();
        let fault = match ask(jobs.create(&PostParams::default(), job)).await {
            Ok(made) => return Ok(made),
            Err(fault) => self.settings.access.noted(fault).await,
        };
        if !fault.is_taken_name() {
            return Err(fault.of_submit());
        }
        let found = ask(jobs.get_opt(&launch.id.to_string())).await;
        match found.map_err(|fault| SubmitError::Ambiguous(fault.to_string()))? {
            Some(found) if is_ours(found.labels(), launch) => Ok(found),
            Some(_) => Err(SubmitError::Rejected(format!(
                "there is a Job {} which this server has not made: remove it",
                launch.id
            ))),
            // It was just removed.
            None => Err(SubmitError::Transient(fault.to_string())),
        }
    }

    pub(super) async fn look_up(&self, launch: &Launch) -> Result<Found, QueryError> {
        let cluster = self.cluster().await?;
        let place = cluster.place().await;
        let found = ask(cluster.jobs().get_opt(&launch.id.to_string())).await;
        let found = match found {
            Ok(found) => found,
            Err(fault) => return Err(self.settings.access.noted(fault).await.into()),
        };
        match found {
            None => Ok(Found::Absent),
            Some(job) if is_ours(job.labels(), launch) => {
                let handle = pack(&cluster, &job, launch);
                let handle = handle.map_err(|error| QueryError(error.to_string()))?;
                let handle = handle.at(place?);
                // It may not have won its claim yet, and whoever looks has written the request anew.
                let manifests = Manifests::new(&self.settings, None, launch).map_err(QueryError)?;
                let named = name_workdir(launch, manifests.workdir).await;
                named.map_err(|error| QueryError(error.to_string()))?;
                Ok(Found::Attempts(vec![handle]))
            }
            Some(_) => Err(QueryError(format!(
                "the Job {} is not this server's",
                launch.id
            ))),
        }
    }
}

fn is_ours(labels: &std::collections::BTreeMap<String, String>, launch: &Launch) -> bool {
    are_of(Some(labels), &launch.server_id, &launch.id.to_string())
}

fn pack(cluster: &Cluster, job: &Job, launch: &Launch) -> Result<Handle, SubmitError> {
    Ok(JobHandle::new(&cluster.namespace, job.uid(), launch).pack(launch.id)?)
}

/// Makes the Secret before the Job, which needs it to begin; renews the one of an earlier submit.
async fn keep_secret(
    cluster: &Cluster,
    secret: &Secret,
    launch: &Launch,
) -> Result<(), SubmitError> {
    let (secrets, name) = (cluster.secrets(), launch.id.to_string());
    let fault = match ask(secrets.create(&PostParams::default(), secret)).await {
        Ok(_) => return Ok(()),
        Err(fault) => fault,
    };
    if !fault.is_taken_name() {
        return Err(fault.of_submit());
    }
    let found = ask(secrets.get_opt(&name))
        .await
        .map_err(Fault::of_submit)?;
    let Some(found) = found else {
        return Err(SubmitError::Transient(fault.to_string()));
    };
    if !is_ours(found.labels(), launch) {
        return Err(SubmitError::Rejected(format!(
            "there is a Secret {name} which this server has not made: remove it"
        )));
    }
    // A former Job of the same name must not take it along.
    let renewed = json!({"metadata": {"ownerReferences": null}, "stringData": secret.string_data});
    let (params, patch) = (PatchParams::default(), Patch::Merge(renewed));
    let patched = ask(secrets.patch(&name, &params, &patch)).await;
    patched.map_err(Fault::of_submit).map(drop)
}

/// Has the Secret go with its Job, whoever removes that.
async fn bind_secret(cluster: &Cluster, job: &Job) {
    let (name, uid) = (job.name_any(), job.uid().unwrap_or_default());
    let owner = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}]);
    let bound = json!({"metadata": {"ownerReferences": owner}});
    let secrets = cluster.secrets();
    let (params, patch) = (PatchParams::default(), Patch::Merge(bound));
    if let Err(fault) = ask(secrets.patch(&name, &params, &patch)).await {
        // Our own cleanup removes it, too.
        tracing::debug!(
            launch_id = name,
            "the Secret is not bound to its Job: {fault}"
        );
    }
}

/// No Job will need it.
async fn drop_secret(cluster: &Cluster, launch: &Launch) {
    let (secrets, name) = (cluster.secrets(), launch.id.to_string());
    if let Err(fault) = ask(secrets.delete(&name, &DeleteParams::default())).await
        && !fault.is_absence()
    {
        tracing::warn!(launch_id = name, "a Secret is left in the cluster: {fault}");
    }
}

impl Cluster {
    pub(super) fn jobs(&self) -> Api<Job> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(super) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

/// Names the image's own workdir in the request, unless somebody runs by it already.
async fn name_workdir(
    launch: &Launch,
    workdir: Option<std::path::PathBuf>,
) -> Result<(), SubmitError> {
    let Some(workdir) = workdir else {
        return Ok(());
    };
    let dir = AttemptDir::at(launch.attempt_dir.clone());
    let write = move || -> std::io::Result<()> {
        if dir.read_claim()?.is_some() {
            return Ok(());
        }
        let mut request = dir.read_request()?;
        request.workdir = workdir;
        let text = serde_json::to_vec_pretty(&request).map_err(std::io::Error::other)?;
        files::write_atomic(&dir.request(), &text)
    };
    let written = tokio::task::spawn_blocking(write).await;
    let failed = |why: String| SubmitError::Transient(format!("cannot write the request: {why}"));
    written
        .map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(error.to_string()))
}
