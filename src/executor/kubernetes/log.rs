//! What the cluster has to say of an attempt that never began: events, and the last words of its containers.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api, ResourceExt,
    api::{ListParams, LogParams},
};

use super::{
    KubernetesExecutor,
    cluster::{Cluster, ask},
    pod::{BRINGER, CONTAINER},
    stop::own_pods,
    words::shown,
};
use crate::job::Handle;

/// Lines and bytes shown of what a container has said.
const LOG_LINES: i64 = 50;
const LOG_LIMIT: i64 = 64 * 1024;

/// Events that are looked at.
const EVENTS: u32 = 50;

impl KubernetesExecutor {
    /// Warnings first; the last line is what people are shown.
    pub(super) async fn last_words(&self, handle: &Handle) -> Option<String> {
        let (cluster, handle) = self.cluster_of(handle).await.ok()?;
        let mut lines = Vec::new();
        let job = ask(cluster.jobs().get_opt(&handle.launch))
            .await
            .ok()
            .flatten();
        if let Some(uid) = job.and_then(|job| job.uid()) {
            lines.extend(warnings_of(&cluster, uid).await);
        }
        for pod in own_pods(&cluster, &handle).await.ok()? {
            lines.extend(warnings_of(&cluster, pod.uid().unwrap_or_default()).await);
            lines.extend(log(&cluster, &pod, BRINGER).await);
            lines.extend(log(&cluster, &pod, CONTAINER).await);
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

/// As far as it can be read.
async fn log(cluster: &Cluster, pod: &Pod, container: &str) -> Option<String> {
    let params = LogParams {
        container: Some(container.to_owned()),
        tail_lines: Some(LOG_LINES),
        limit_bytes: Some(LOG_LIMIT),
        ..LogParams::default()
    };
    let text = ask(cluster.pods().logs(&pod.name_any(), &params))
        .await
        .ok()?;
    let text = text.trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The warnings about an object, the last one at the end; none where they may not be read.
pub(super) async fn warnings_of(cluster: &Cluster, uid: String) -> Vec<String> {
    let events: Api<Event> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let fields = format!("involvedObject.uid={uid},type=Warning");
    let params = ListParams::default().fields(&fields).limit(EVENTS);
    let Ok(listed) = ask(events.list(&params)).await else {
        return Vec::new();
    };
    let mut events = listed.items;
    events.sort_by_key(|event| {
        let last = event.last_timestamp.as_ref().map(|at| at.0);
        last.or_else(|| event.event_time.as_ref().map(|at| at.0))
    });
    let words = events.iter().filter_map(|event| event.message.as_deref());
    words.map(shown).filter(|words| !words.is_empty()).collect()
}
