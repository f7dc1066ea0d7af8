//! A Job and its pod, in our words; a condition that we do not know changes nothing.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ContainerStatus, Pod, PodCondition},
};

use super::{
    ends,
    manifest::QUEUE_LABEL,
    pod::{BRINGER, CONTAINER},
    words::{shown, with_words},
};
use crate::job::{Cause, Exit, Observation, Phase};

/// A pod that is to end and is still there this long after its own grace stands on a node that does not answer.
const NODE_PATIENCE: Duration = Duration::from_secs(120);

/// What there is to see of an attempt.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) job: &'a Job,
    pub(super) pod: Option<&'a Pod>,
    pub(super) now: Timestamp,
    /// A supervisor of a Job that is suspended now has won the claim.
    pub(super) has_begun: bool,
}

/// Where an attempt is.
pub(super) fn observation(seen: &Seen<'_>) -> Observation {
    let (phase, reason) = judge(seen);
    Observation {
        phase,
        reason,
        leftovers: false,
    }
}

type Judged = (Phase, Option<String>);

fn judge(seen: &Seen<'_>) -> Judged {
    let job = seen.job;
    if has_condition(job, "Complete") {
        let done = Exit {
            code: Some(0),
            ..Exit::default()
        };
        return (Phase::Exited(done), None);
    }
    if has_condition(job, "Failed") {
        return ends::of_job(job, seen.pod);
    }
    match seen.pod {
        Some(pod) => of_pod(pod, seen.now),
        None => without_pod(seen),
    }
}

/// Whether the Job's status says so.
pub(super) fn has_condition(job: &Job, name: &str) -> bool {
    condition(job, name).is_some()
}

/// A condition of the Job that holds: its reason and its message.
pub(super) fn condition<'a>(job: &'a Job, name: &str) -> Option<(&'a str, &'a str)> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let mut conditions = conditions.iter();
    let found = conditions.find(|one| one.type_ == name && one.status == "True")?;
    let text = |text: &'a Option<String>| text.as_deref().unwrap_or_default();
    Some((text(&found.reason), text(&found.message)))
}

/// A condition of a pod, whether it holds or not.
pub(super) fn pod_condition<'a>(pod: &'a Pod, name: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|one| one.type_ == name)
}

fn without_pod(seen: &Seen<'_>) -> Judged {
    let spec = seen.job.spec.as_ref();
    if seen.job.metadata.deletion_timestamp.is_some() {
        return (Phase::Stopping, None);
    }
    if spec.and_then(|spec| spec.suspend) != Some(true) {
        return (Phase::Queued, None);
    }
    if seen.has_begun {
        // Its queue took its place away. It would begin anew, and a claim is won only once.
        let exit = Exit {
            cause: Some(Cause::Preempted),
            ..Exit::default()
        };
        let reason = "suspended while it ran: others come first in its queue";
        return (Phase::Exited(exit), Some(reason.to_owned()));
    }
    let labels = seen.job.metadata.labels.as_ref();
    let queue = labels.and_then(|labels| labels.get(QUEUE_LABEL));
    let reason = match queue {
        Some(queue) => format!("suspended: it waits for its turn in queue {queue}"),
        None => "suspended in Kubernetes".to_owned(),
    };
    (Phase::Queued, Some(reason))
}

fn of_pod(pod: &Pod, now: Timestamp) -> Judged {
    let status = pod.status.clone().unwrap_or_default();
    let word = status.phase.as_deref().unwrap_or_default();
    if matches!(word, "Succeeded" | "Failed") || ended(&status.container_statuses) {
        return ends::of_pod(pod);
    }
    let deleted_at = pod.metadata.deletion_timestamp.as_ref().map(|at| at.0);
    // The time of deletion is the one at which the grace is over.
    let overdue = deleted_at.is_some_and(|at| at + NODE_PATIENCE < now);
    if overdue || status.reason.as_deref() == Some("NodeLost") {
        return ends::node_lost(pod);
    }
    if deleted_at.is_some() {
        return (Phase::Stopping, None);
    }
    match word {
        "Running" if runs(&status.container_statuses) => (Phase::Running, None),
        "Pending" | "Running" | "" => waiting(pod),
        other => {
            let reason = status.message.as_deref().map(shown);
            (Phase::Unknown(other.to_owned()), reason)
        }
    }
}

fn of_training(statuses: &Option<Vec<ContainerStatus>>) -> Option<&ContainerStatus> {
    let mut statuses = statuses.iter().flatten();
    statuses.find(|status| status.name == CONTAINER)
}

fn runs(statuses: &Option<Vec<ContainerStatus>>) -> bool {
    let state = of_training(statuses).and_then(|status| status.state.as_ref());
    state.is_some_and(|state| state.running.is_some())
}

/// Whether the container is over, though its pod may not be yet.
fn ended(statuses: &Option<Vec<ContainerStatus>>) -> bool {
    let state = of_training(statuses).and_then(|status| status.state.as_ref());
    state.is_some_and(|state| state.terminated.is_some())
}

/// Why a pod has not begun. What is waited for is shown only of what is queued.
fn waiting(pod: &Pod) -> Judged {
    let queued = |ours: &str, theirs: Option<&str>| (Phase::Queued, Some(with_words(ours, theirs)));
    let scheduled = pod_condition(pod, "PodScheduled").filter(|one| one.status == "False");
    if let Some(scheduled) = scheduled {
        let message = scheduled.message.as_deref();
        return match scheduled.reason.as_deref() {
            Some("Unschedulable") => queued("no node can take it", message),
            Some("SchedulingGated") => queued("held back from scheduling", message),
            reason => queued("not scheduled", message.or(reason)),
        };
    }
    let status = pod.status.clone().unwrap_or_default();
    let init = status.init_container_statuses.unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default();
    let mut all = init.iter().chain(&containers);
    let stuck = all.find_map(|one| Some((one, one.state.as_ref()?.waiting.as_ref()?)));
    let Some((container, wait)) = stuck else {
        return (Phase::Starting, None);
    };
    let (reason, message) = (
        wait.reason.as_deref().unwrap_or_default(),
        wait.message.as_deref(),
    );
    let image = &container.image;
    match reason {
        "" | "ContainerCreating" | "PodInitializing" => (Phase::Starting, None),
        // No waiting makes a name of it.
        "InvalidImageName" => ends::never_started(&format!("{image:?} is no image"), message),
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "RegistryUnavailable" => {
            let whose = if container.name == BRINGER {
                "the supervisor's image"
            } else {
                "image"
            };
            queued(
                &format!("{whose} {image} does not come"),
                message.or(Some(reason)),
            )
        }
        "CreateContainerConfigError" => queued("something that it names is missing", message),
        other => queued(&format!("its container does not start ({other})"), message),
    }
}
