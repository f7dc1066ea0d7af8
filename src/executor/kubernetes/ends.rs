//! How a Job ended, and whose fault that was.

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ContainerStateTerminated, ContainerStatus, Pod},
};

use super::{
    phase::{condition, pod_condition},
    pod::{BRINGER, CONTAINER},
    words::{shown, with_words},
};
use crate::job::{Cause, Exit, Phase};

type Judged = (Phase, Option<String>);

/// A Job that is called failed.
pub(super) fn of_job(job: &Job, pod: Option<&Pod>) -> Judged {
    let (reason, message) = condition(job, "Failed").unwrap_or_default();
    if reason == "DeadlineExceeded" {
        return exited(
            None,
            Some(Cause::RunTimeout),
            Some("its deadline in Kubernetes ended it".to_owned()),
        );
    }
    match pod {
        // Older clusters call a Job failed while the container of its deleted pod still ends.
        Some(pod) if pod.metadata.deletion_timestamp.is_some() && !is_terminated(pod) => {
            (Phase::Stopping, None)
        }
        Some(pod) => of_pod(pod),
        // Drained, or deleted by somebody.
        None if matches!(reason, "BackoffLimitExceeded" | "PodFailurePolicy") => exited(
            None,
            Some(Cause::Preempted),
            Some("its pod was deleted".to_owned()),
        ),
        None => exited(
            None,
            None,
            Some(with_words(
                "Kubernetes calls it failed",
                Some(message)
                    .filter(|text| !text.is_empty())
                    .or(Some(reason)),
            )),
        ),
    }
}

/// A pod that is over.
pub(super) fn of_pod(pod: &Pod) -> Judged {
    let status = pod.status.as_ref();
    let init = status.and_then(|status| terminated(&status.init_container_statuses, BRINGER));
    if let Some(init) = init.filter(|init| init.exit_code != 0) {
        let words = init.message.as_deref().or(init.reason.as_deref());
        return never_started("the init container that brings this program failed", words);
    }
    let own = status.and_then(|status| terminated(&status.container_statuses, CONTAINER));
    let code = own.map(|own| own.exit_code);
    if own.and_then(|own| own.reason.as_deref()) == Some("OOMKilled") {
        let reason = "it used more memory than it asked for".to_owned();
        return exited(code, Some(Cause::OutOfMemory), Some(reason));
    }
    if let Some((cause, reason)) = by_others(pod) {
        return exited(code, Some(cause), Some(reason));
    }
    match own {
        Some(own) => by_itself(own, pod),
        None => exited(None, None, words_of(pod)),
    }
}

/// A pod whose node does not answer any more, or is gone.
pub(super) fn node_lost(pod: &Pod) -> Judged {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let reason = format!("its node {} does not answer", node.unwrap_or_default());
    exited(None, Some(Cause::NodeLost), Some(shown(&reason)))
}

/// What can never begin.
pub(super) fn never_started(ours: &str, theirs: Option<&str>) -> Judged {
    exited(
        None,
        Some(Cause::StartFailed),
        Some(with_words(ours, theirs)),
    )
}

/// Evicted, preempted, shut down: what the cluster did to a pod.
fn by_others(pod: &Pod) -> Option<(Cause, String)> {
    let status = pod.status.as_ref()?;
    let (reason, message) = (status.reason.as_deref(), status.message.as_deref());
    let said = |ours: &str| with_words(ours, message);
    match reason {
        // Its own use of the disk, and not the node's need.
        Some("Evicted") if message.is_some_and(is_its_own_use) => {
            return Some((Cause::JobError, said("evicted for what it used")));
        }
        Some("Evicted") => return Some((Cause::Preempted, said("evicted"))),
        Some("Preempting" | "Preempted") => return Some((Cause::Preempted, said("preempted"))),
        Some("Shutdown" | "NodeShutdown" | "Terminated") => {
            return Some((Cause::Preempted, said("its node was shut down")));
        }
        Some("NodeLost") => return Some((Cause::NodeLost, said("its node does not answer"))),
        Some("DeadlineExceeded") => {
            return Some((
                Cause::RunTimeout,
                said("its deadline in Kubernetes ended it"),
            ));
        }
        // Its node refused it: devices that are gone, room that another took.
        Some(reason)
            if reason == "UnexpectedAdmissionError"
                || reason == "NodeAffinity"
                || reason.starts_with("OutOf") =>
        {
            return Some((Cause::StartFailed, said("its node did not take it")));
        }
        _ => {}
    }
    let disrupted = pod_condition(pod, "DisruptionTarget").filter(|one| one.status == "True")?;
    let said = |ours: &str| with_words(ours, disrupted.message.as_deref());
    Some(match disrupted.reason.as_deref().unwrap_or_default() {
        "DeletionByTaintManager" => (Cause::NodeLost, said("its node became unusable")),
        "DeletionByPodGC" => (Cause::NodeLost, said("its node is gone")),
        "EvictionByEvictionAPI" => (Cause::Preempted, said("evicted")),
        // PreemptionByScheduler, TerminationByKubelet, and whatever comes.
        _ => (Cause::Preempted, said("preempted")),
    })
}

/// A node in need names what its pods use beyond their requests, too.
fn is_its_own_use(message: &str) -> bool {
    let of_node = ["The node was low on", "The node had condition"];
    !of_node.iter().any(|need| message.starts_with(need)) && message.contains("exceed")
}

fn is_terminated(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    status.is_some_and(|status| terminated(&status.container_statuses, CONTAINER).is_some())
}

fn by_itself(own: &ContainerStateTerminated, pod: &Pod) -> Judged {
    let code = Some(own.exit_code);
    match own.reason.as_deref() {
        Some("StartError" | "ContainerCannotRun") => {
            let (_, reason) = never_started(
                "the supervisor could not be started",
                own.message.as_deref(),
            );
            exited(code, Some(Cause::StartFailed), reason)
        }
        Some("ContainerStatusUnknown") => {
            let reason = "its node lost sight of it".to_owned();
            exited(code, Some(Cause::NodeLost), Some(reason))
        }
        // Only believed where we have not asked it to stop.
        _ if pod.metadata.deletion_timestamp.is_some() => {
            let reason = "its pod was deleted".to_owned();
            exited(code, Some(Cause::Preempted), Some(reason))
        }
        _ => exited(code, None, None),
    }
}

fn exited(code: Option<i32>, cause: Option<Cause>, reason: Option<String>) -> Judged {
    let exit = Exit {
        code,
        signal: None,
        cause,
    };
    (Phase::Exited(exit), reason)
}

fn terminated<'a>(
    statuses: &'a Option<Vec<ContainerStatus>>,
    name: &str,
) -> Option<&'a ContainerStateTerminated> {
    let mut statuses = statuses.iter().flatten();
    let own = statuses.find(|status| status.name == name)?;
    own.state.as_ref()?.terminated.as_ref()
}

/// Words that we do not know.
fn words_of(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let reason = status.reason.as_deref()?;
    Some(with_words(
        &format!("Kubernetes says {}", shown(reason)),
        status.message.as_deref(),
    ))
}
