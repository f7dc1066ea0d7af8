//! Where Jobs are: one list of Jobs and one of pods for all of them, and a closer look at the few that need it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Debug,
};

use futures_util::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    Api, ResourceExt,
    api::{ListParams, ObjectList},
};
use serde::de::DeserializeOwned;

use super::{
    KubernetesExecutor,
    cluster::{Cluster, ask},
    fault::Fault,
    handle::{JobHandle, LAUNCH_LABEL, SERVER_LABEL},
    log::warnings_of,
    phase::{Seen, observation},
    words,
};
use crate::{
    executor::QueryError,
    job::{Handle, Observation, Phase},
    job_dir::{AttemptDir, Claimant},
};

/// Objects of one answer.
const PAGE: u32 = 500;

/// Closer looks at once.
const LOOKS_AT_ONCE: usize = 8;

/// What the cluster has of one server in one namespace.
#[derive(Debug)]
struct Listed {
    cluster: Cluster,
    jobs: HashMap<String, Job>,
    /// By the launch.
    pods: HashMap<String, Vec<Pod>>,
}

impl KubernetesExecutor {
    /// One answer for each handle.
    pub(super) async fn look(&self, handles: &[Handle]) -> Vec<Result<Observation, QueryError>> {
        let unpacked: Vec<_> = handles.iter().map(JobHandle::unpack).collect();
        let places: BTreeSet<(String, String)> = unpacked
            .iter()
            .flatten()
            .map(|handle| (handle.namespace.clone(), handle.server.clone()))
            .collect();
        let mut listed = BTreeMap::new();
        for (namespace, server) in places {
            let answer = self.list(&namespace, &server).await;
            listed.insert((namespace, server), answer);
        }
        let looks = unpacked.into_iter().zip(handles).map(|(unpacked, handle)| {
            let listed = &listed;
            async move {
                let own = unpacked?;
                let place = (own.namespace.clone(), own.server.clone());
                match listed.get(&place) {
                    Some(Ok(listed)) => {
                        listed.cluster.has(handle).await?;
                        Ok(closer(listed, &own).await?)
                    }
                    Some(Err(fault)) => Err(fault.clone().into()),
                    None => Err(QueryError("it was not asked for".to_owned())),
                }
            }
        });
        let looks: Vec<_> = looks.collect();
        futures_util::stream::iter(looks)
            .buffered(LOOKS_AT_ONCE)
            .collect()
            .await
    }

    async fn list(&self, namespace: &str, server: &str) -> Result<Listed, Fault> {
        let cluster = self.cluster_at(namespace).await?;
        let both = async {
            let jobs = list_all(&cluster.jobs(), server).await?;
            let pods = list_all(&cluster.pods(), server).await?;
            Ok((jobs, pods))
        };
        let (jobs, listed) = match both.await {
            Ok(both) => both,
            Err(fault) => return Err(self.settings.access.noted(fault).await),
        };
        let mut pods: HashMap<String, Vec<Pod>> = HashMap::new();
        for pod in listed {
            if let Some(launch) = pod.labels().get(LAUNCH_LABEL).cloned() {
                pods.entry(launch).or_default().push(pod);
            }
        }
        let jobs = jobs.into_iter().map(|job| (job.name_any(), job)).collect();
        Ok(Listed {
            cluster,
            jobs,
            pods,
        })
    }
}

/// All objects of a server, page by page. What the API has cached may be old, so its storage is asked.
async fn list_all<K>(api: &Api<K>, server: &str) -> Result<Vec<K>, Fault>
where
    K: Clone + Debug + DeserializeOwned + Send,
{
    let mut all = Vec::new();
    let selector = format!("{SERVER_LABEL}={server}");
    let mut params = ListParams::default().labels(&selector).limit(PAGE);
    loop {
        let ObjectList {
            metadata, items, ..
        } = ask(api.list(&params)).await?;
        all.extend(items);
        match metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(all),
        }
    }
}

async fn closer(listed: &Listed, handle: &JobHandle) -> Result<Observation, Fault> {
    let found = listed.jobs.get(&handle.launch);
    let found = match found.filter(|job| handle.is_on(Some(job.labels()))) {
        Some(job) => job.clone(),
        // Its absence is believed only when it is asked for by its name.
        None => match ask(listed.cluster.jobs().get_opt(&handle.launch)).await? {
            Some(job) if handle.is_on(Some(job.labels())) => job,
            _ => return Ok(said(Phase::Gone, None)),
        },
    };
    let pod = listed.pods.get(&handle.launch);
    let pod = newest(pod.map_or(&[], Vec::as_slice), &found);
    let is_suspended = found.spec.as_ref().and_then(|spec| spec.suspend) == Some(true);
    let seen = Seen {
        job: &found,
        pod,
        now: Timestamp::now(),
        has_begun: is_suspended && has_begun(handle).await,
    };
    let observed = observation(&seen);
    if pod.is_none() && observed.phase == Phase::Queued && observed.reason.is_none() {
        // Nobody makes its pod, and only the events say why: a quota, a policy.
        let warnings = warnings_of(&listed.cluster, found.uid().unwrap_or_default()).await;
        let reason = warnings.last();
        let reason = reason.map(|text| words::with_words("it has no pod yet", Some(text)));
        return Ok(said(Phase::Queued, reason));
    }
    Ok(observed)
}

/// The pod that the Job has made last.
pub(super) fn newest<'a>(pods: &'a [Pod], job: &Job) -> Option<&'a Pod> {
    let is_of_job = |pod: &&Pod| {
        let mut owners = pod.owner_references().iter();
        owners.any(|owner| Some(&owner.uid) == job.metadata.uid.as_ref())
    };
    let own = pods.iter().filter(is_of_job);
    own.max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|at| at.0))
}

/// Whether a supervisor has won the claim.
async fn has_begun(handle: &JobHandle) -> bool {
    let dir = AttemptDir::at(handle.attempt_dir.clone());
    let claim = tokio::task::spawn_blocking(move || dir.read_claim()).await;
    let by = claim.ok().and_then(Result::ok).flatten();
    by.is_some_and(|claim| matches!(claim.by, Claimant::Supervisor { .. }))
}

impl Cluster {
    pub(super) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

fn said(phase: Phase, reason: Option<String>) -> Observation {
    Observation {
        phase,
        reason,
        leftovers: false,
    }
}
