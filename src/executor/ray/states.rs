//! Ray's words (`JobStatus` and `JobErrorType` of its Jobs API, and the messages beside them), in ours.

use super::{
    api::{sentence, shown},
    handle::RayHandle,
    jobs::RayJob,
};
use crate::job::{Cause, Exit, Observation, Phase};

/// How Ray begins a message that says why a job waits.
const NOT_STARTED: &str = "Job has not started yet.";

/// How it goes on, and only guesses.
const MAY_WAIT: &str = "It may be waiting for";

/// A job's state in our words; one that we do not know stays itself.
pub(super) fn observation(job: &RayJob, handle: &RayHandle) -> Observation {
    let message = job.message.as_deref().unwrap_or_default();
    let (phase, reason) = match &*job.status {
        "PENDING" => (Phase::Queued, Some(waiting(message, handle))),
        "RUNNING" => (Phase::Running, None),
        "SUCCEEDED" => (ended(Some(0), None), None),
        // Nobody starts again what somebody has stopped.
        "STOPPED" => (
            ended(None, Some(Cause::JobError)),
            Some("stopped in Ray".to_owned()),
        ),
        "FAILED" => failed(job, message),
        other => (Phase::Unknown(other.to_owned()), None),
    };
    Observation {
        phase,
        reason,
        leftovers: false,
    }
}

fn ended(code: Option<i32>, cause: Option<Cause>) -> Phase {
    Phase::Exited(Exit {
        code: code.filter(|code| *code >= 0),
        // Python's way to say that a signal ended it.
        signal: code.filter(|code| *code < 0).map(i32::saturating_neg),
        cause,
    })
}

/// Ray itself only tells whether resources were asked for; what it does not say of every job is shown.
fn waiting(message: &str, handle: &RayHandle) -> String {
    let rest = message.strip_prefix(NOT_STARTED).unwrap_or(message).trim();
    match &handle.asked_for {
        _ if !rest.is_empty() && !rest.starts_with(MAY_WAIT) => {
            format!("in Ray's queue: {}", shown(rest))
        }
        Some(asked_for) => format!("waits in Ray's queue for {asked_for}"),
        None => "waits in Ray's queue, or for its runtime_env".to_owned(),
    }
}

/// The types are Ray's own; what stands behind the death of an actor is in its message alone.
fn failed(job: &RayJob, message: &str) -> (Phase, Option<String>) {
    let code = job.driver_exit_code;
    let said = |what: &str| Some(format!("{what}: {}", sentence(message)));
    let (cause, reason) = match job.error_type.as_deref() {
        // The record, or the supervisor's last line, says it better.
        Some("JOB_ENTRYPOINT_COMMAND_ERROR") => (None, None),
        Some("JOB_ENTRYPOINT_COMMAND_START_ERROR") => {
            (Some(Cause::StartFailed), said("Ray could not run it"))
        }
        Some("RUNTIME_ENV_SETUP_FAILURE") => (
            Some(Cause::StartFailed),
            said("its runtime_env could not be set up"),
        ),
        Some("JOB_SUPERVISOR_ACTOR_START_TIMEOUT") => (
            Some(Cause::StartFailed),
            Some(format!("Ray let it wait no longer: {}", shown(message))),
        ),
        Some("JOB_SUPERVISOR_ACTOR_START_FAILURE" | "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE") => {
            (Some(Cause::StartFailed), said("Ray could not start it"))
        }
        Some("JOB_SUPERVISOR_ACTOR_DIED" | "JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE") => {
            match fate(message) {
                Some((cause, words)) => (Some(cause), Some(words)),
                None => (Some(Cause::Infra), said("Ray lost it")),
            }
        }
        _ if code.is_some() => (None, None),
        _ => (None, said("Ray says")),
    };
    (ended(code, cause), reason)
}

/// Deaths that Ray tells apart in words (`actor_died_error` and the memory monitor of 2.60).
fn fate(message: &str) -> Option<(Cause, String)> {
    let has = |words: &str| message.contains(words);
    if has("killed due to the node running low on memory") {
        let line = message.lines().find(|line| line.contains("low on memory"));
        let line = line.unwrap_or_default();
        let line = line.split_once("occurred: ").map_or(line, |(_, rest)| rest);
        return Some((
            Cause::OutOfMemory,
            format!("Ray's memory monitor ended it: {}", shown(line)),
        ));
    }
    if has("the actor's node was preempted") {
        return Some((Cause::Preempted, "its node was preempted".to_owned()));
    }
    if has("died because its node has died") {
        let why = sentence(message);
        return Some((Cause::NodeLost, format!("Ray lost its node: {why}")));
    }
    if has("its worker process has died") {
        let words = "the process that Ray keeps beside it has died";
        return Some((Cause::Infra, words.to_owned()));
    }
    None
}
