//! What a look sees.

use std::path::Path;

use serde_json::json;
use trainhook::{
    executor::Executor,
    job::{Cause, Exit, Handle, Observation, Phase},
};

use super::{asked, handle, handle_of, job, played, says};
use crate::{
    engines::build,
    support::scripted::{Reply, Scripted},
};

pub(super) async fn look(executor: &dyn Executor) -> Observation {
    let seen = executor.observe(&[handle()]).await.remove(0);
    seen.expect("an answer")
}

fn exited(code: Option<i32>, signal: Option<i32>, cause: Option<Cause>) -> Phase {
    Phase::Exited(Exit {
        code,
        signal,
        cause,
    })
}

const ACTOR_DIED: &str = "Job supervisor actor died: The actor died unexpectedly before finishing this task.\n\tclass_name: \
    JobSupervisor\n\tip: 127.0.0.1\nThe actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR \
    Worker exit detail: Some common causes include: (1) the process was killed by the OOM killer due to high memory usage.";
const NODE_DIED: &str = "Job supervisor actor died: The actor died unexpectedly before finishing this task.\n\tip: \
    127.0.0.3\nThe actor died because its node has died. Node Id: 5849c4\n\tthe actor's node was terminated unexpectedly: \
    health check failed due to missing too many heartbeats";
const NODE_PREEMPTED: &str = "Job supervisor actor died: The actor died because its node has died. Node Id: 5849c4\n\tthe \
    actor's node was preempted: spot";
const LOW_ON_MEMORY: &str = "Unexpected error occurred: 1 worker(s) were killed due to the node running low on memory. \
    Memory on the node (IP: 127.0.0.2) was 1.99GB used / 23.54GB limit (0.084515)\nOOM kill reason: Memory usage exceeded";
const START_TIMEOUT: &str = "Job supervisor actor failed to start within 900.0 seconds. This timeout can be configured by \
    setting the environment variable RAY_JOB_START_TIMEOUT_SECONDS.";

#[tokio::test]
async fn every_state_of_a_job_has_its_phase_and_reason() {
    let failed = |kind: &str, message: &str| json!({"error_type": kind, "message": message});
    let waits =
        "Job has not started yet. It may be waiting for the runtime environment to be set up.";
    let own_words = json!({"error_type": "JOB_ENTRYPOINT_COMMAND_ERROR", "driver_exit_code": 3,
        "message": "killed due to the node running low on memory, says the command"});
    let killed = json!({"error_type": "JOB_ENTRYPOINT_COMMAND_ERROR", "driver_exit_code": -9, "message": ""});
    let old = json!({"driver_exit_code": 1, "message": "Job failed"});
    for (status, more, phase, reason) in [
        (
            "PENDING",
            json!({"message": waits}),
            Phase::Queued,
            "waits in Ray's queue, or for its runtime_env",
        ),
        (
            "PENDING",
            json!({}),
            Phase::Queued,
            "waits in Ray's queue, or for its runtime_env",
        ),
        ("RUNNING", json!({}), Phase::Running, ""),
        ("SUCCEEDED", json!({}), exited(Some(0), None, None), ""),
        (
            "STOPPED",
            json!({}),
            exited(None, None, Some(Cause::JobError)),
            "stopped in Ray",
        ),
        ("FAILED", own_words, exited(Some(3), None, None), ""),
        ("FAILED", killed, exited(None, Some(9), None), ""),
        ("FAILED", old, exited(Some(1), None, None), ""),
        (
            "FAILED",
            json!({"message": "Job failed due to an application error"}),
            exited(None, None, None),
            "Ray says: Job failed due to an application error",
        ),
        (
            "FAILED",
            failed("JOB_SUPERVISOR_ACTOR_DIED", ACTOR_DIED),
            exited(None, None, Some(Cause::Infra)),
            "the process that Ray keeps beside it has died",
        ),
        (
            "FAILED",
            failed("JOB_SUPERVISOR_ACTOR_DIED", NODE_DIED),
            exited(None, None, Some(Cause::NodeLost)),
            "Ray lost its node: the actor's node was terminated unexpectedly: health check failed due to missing too many heartbeats",
        ),
        (
            "FAILED",
            failed("JOB_SUPERVISOR_ACTOR_DIED", NODE_PREEMPTED),
            exited(None, None, Some(Cause::Preempted)),
            "its node was preempted",
        ),
        (
            "FAILED",
            failed("JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE", LOW_ON_MEMORY),
            exited(None, None, Some(Cause::OutOfMemory)),
            "Ray's memory monitor ended it: 1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 127.0.0.2) was 1.99GB used / 23.54GB limit (0.084515)",
        ),
        (
            "FAILED",
            failed("JOB_SUPERVISOR_ACTOR_START_TIMEOUT", START_TIMEOUT),
            exited(None, None, Some(Cause::StartFailed)),
            "Ray let it wait no longer: Job supervisor actor failed to start within 900.0 seconds. This timeout can be configured by setting the environment variable RAY_JOB_START_TIMEOUT_SECONDS.",
        ),
        (
            "FAILED",
            failed(
                "RUNTIME_ENV_SETUP_FAILURE",
                "runtime_env setup failed: x\nERROR: no such package nope\n",
            ),
            exited(None, None, Some(Cause::StartFailed)),
            "its runtime_env could not be set up: ERROR: no such package nope",
        ),
        (
            "FAILED",
            failed("JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE", "no node has label x"),
            exited(None, None, Some(Cause::StartFailed)),
            "Ray could not start it: no node has label x",
        ),
        (
            "HIBERNATING",
            json!({}),
            Phase::Unknown("HIBERNATING".to_owned()),
            "",
        ),
    ] {
        let (_ray, executor) = played([Reply::new(200, job(status, more))]).await;
        let seen = look(&*executor).await;
        assert_eq!(seen.phase, phase, "{status} {reason}");
        assert_eq!(seen.reason.unwrap_or_default(), reason, "{status}");
    }
}

#[tokio::test]
async fn a_question_without_an_answer_is_no_outcome() {
    for (reply, words) in [
        (Reply::Hang, "it did not come in time"),
        (Reply::Close, "Ray's answer was lost"),
        (Reply::CloseWithinBody, "Ray's answer was lost"),
        (Reply::new(200, "<html>"), "cannot be understood"),
        (Reply::new(200, "{\"message\": 1}"), "cannot be understood"),
        (
            Reply::new(
                500,
                "500 Internal Server Error\n\nServer got itself in trouble",
            ),
            "Server got itself in trouble",
        ),
        (Reply::new(503, ""), "503 Service Unavailable"),
        // A wrong address, or a proxy's: nobody says that there is no such job.
        (Reply::new(404, "404: Not Found"), "404: Not Found"),
        (Reply::bytes(200, vec![b' '; 5 << 20]), "longer than"),
    ] {
        let (_ray, executor) = played([reply]).await;
        let seen = executor.observe(&[handle()]).await.remove(0);
        let error = seen.expect_err(words);
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
}

#[tokio::test]
async fn many_attempts_are_one_look_each_answered_by_itself() {
    let named = |attempt: u32, status: &str| {
        let id = handle_of(attempt).launch_id;
        job(status, json!({"submission_id": id}))
    };
    let theirs =
        json!({"type": "DRIVER", "submission_id": null, "status": "RUNNING", "metadata": {}});
    let list = json!([
        named(2, "PENDING"),
        theirs,
        named(400, "SUCCEEDED"),
        named(1, "RUNNING")
    ]);
    let (ray, executor) = played([Reply::new(200, list)]).await;
    let mut handles: Vec<Handle> = (1..=400).map(handle_of).collect();
    handles[2].version = 7;
    let seen = executor.observe(&handles).await;
    assert_eq!(seen.len(), 400);
    let phase = |at: usize| seen[at].as_ref().map(|seen| seen.phase.clone());
    assert_eq!(phase(0), Ok(Phase::Running));
    assert_eq!(phase(1), Ok(Phase::Queued));
    assert!(phase(2).is_err(), "a handle of another trainhook");
    assert_eq!(phase(3), Ok(Phase::Gone));
    assert_eq!(phase(399), Ok(exited(Some(0), None, None)));
    assert_eq!(asked(&ray.finish()), ["GET /api/jobs/"]);
}

#[tokio::test]
async fn a_list_that_others_have_filled_is_not_read_twice() {
    let mut replies = vec![Reply::bytes(200, vec![b' '; 65 << 20])];
    replies.extend(vec![says("RUNNING"); 10]);
    let ray = Scripted::start(replies).await;
    let table = format!("address = \"{}\"\nsupervisor = \"shared\"", ray.url(""));
    let executor = build("ray", Path::new("/"), &table);
    let handles = vec![handle(); 5];
    for _ in 0..2 {
        let seen = executor.observe(&handles).await;
        assert!(
            seen.iter()
                .all(|seen| matches!(seen, Ok(seen) if seen.phase == Phase::Running)),
            "{seen:?}"
        );
    }
    let requests = asked(&ray.finish());
    assert_eq!(requests[0], "GET /api/jobs/");
    assert!(
        requests[1..]
            .iter()
            .all(|request| request == "GET /api/jobs/ID"),
        "{requests:?}"
    );
}
