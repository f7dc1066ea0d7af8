//! Ray's odd answers, played at the wire (captured from Ray 2.60.0 where they are quoted).

use std::{fs, path::Path, sync::Arc, time::Duration};

use serde_json::{Value, json};
use trainhook::{
    executor::{CancelOutcome, Executor, Found, Launch, SubmitError},
    job::{Cause, Exit, Handle, LaunchId, Observation, Phase},
};

use crate::{
    engines::{build, launch},
    support::scripted::{Recorded, Reply, Scripted},
};

const SERVER: &str = "our server";

/// An executor of a Ray that plays this script; its patience is short.
async fn played(replies: impl IntoIterator<Item = Reply>) -> (Scripted, Arc<dyn Executor>) {
    played_with("supervisor = \"shared\"", replies).await
}

async fn played_with(
    more: &str,
    replies: impl IntoIterator<Item = Reply>,
) -> (Scripted, Arc<dyn Executor>) {
    let ray = Scripted::start(replies).await;
    let table = format!(
        "address = \"{}\"\ncall_timeout = \"500ms\"\n{more}",
        ray.url("")
    );
    (ray, build("ray", Path::new("/"), &table))
}

fn our_launch() -> Launch {
    Launch {
        server_id: SERVER.to_owned(),
        ..launch(Path::new("/jobs/a1"))
    }
}

fn handle() -> Handle {
    handle_of(1)
}

fn handle_of(attempt: u32) -> Handle {
    let launch_id = LaunchId {
        attempt,
        ..our_launch().id
    };
    let data = json!({"server": SERVER, "attempt_dir": "/jobs/a1"});
    Handle {
        launch_id,
        version: 1,
        data,
        place: None,
    }
}

/// A job as `GET /api/jobs/{id}` has it.
fn job(status: &str, more: Value) -> Value {
    let mut job = json!({
        "type": "SUBMISSION", "job_id": null, "submission_id": our_launch().id, "driver_info": null,
        "status": status, "entrypoint": "true", "message": null, "error_type": null, "start_time": 1795431230054_u64,
        "end_time": null, "metadata": {"trainhook_server": SERVER}, "runtime_env": {"env_vars": {}},
        "driver_agent_http_address": null, "driver_node_id": null, "driver_exit_code": null,
    });
    for (key, value) in more.as_object().expect("an object") {
        job[key] = value.clone();
    }
    job
}

fn says(status: &str) -> Reply {
    Reply::new(200, job(status, json!({})))
}

fn absent() -> Reply {
    Reply::new(404, format!("Job {} does not exist", our_launch().id))
}

/// What was asked: method and path.
fn asked(requests: &[Recorded]) -> Vec<String> {
    let id = our_launch().id.to_string();
    let line =
        |request: &Recorded| format!("{} {}", request.method, request.path.replace(&id, "ID"));
    requests.iter().map(line).collect()
}

const DUPLICATE: &str = "Traceback (most recent call last):\n  File \"job_head.py\", line 419, in submit_job\n    resp = await \
    job_agent_client.submit_job_internal(submit_request)\n           ^^^^^^^^^^^^\nRuntimeError: Request failed with status \
    code 400: Traceback (most recent call last):\n  File \"job_manager.py\", line 553, in submit_job\n    raise \
    ValueError(\nValueError: Job with submission_id x already exists. Please use a different submission_id.\n.\n";

#[tokio::test]
async fn a_submit_names_its_launch_and_its_server() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let token = folder.path().join("token");
    fs::write(&token, "abc\n").expect("the folder is writable");
    let more = format!("supervisor = \"shared\"\ntoken = {{ file = {token:?} }}");
    let taken = Reply::new(200, json!({"job_id": "x", "submission_id": "x"}));
    let (ray, executor) = played_with(&more, [taken.clone(), taken]).await;
    let handle = executor.submit(&our_launch()).await.expect("taken");
    assert_eq!(handle.launch_id, our_launch().id);
    // A token that has been replaced is used from then on.
    fs::write(&token, "def").expect("the folder is writable");
    executor.submit(&our_launch()).await.expect("taken");
    let requests = ray.finish();
    assert_eq!(asked(&requests), ["POST /api/jobs/", "POST /api/jobs/"]);
    assert_eq!(
        requests[0].json()["submission_id"],
        our_launch().id.to_string()
    );
    assert_eq!(requests[0].json()["metadata"]["trainhook_server"], SERVER);
    // Ray takes whoever poses as a browser for one, and refuses.
    let agent = requests[0].header("user-agent").expect("a name");
    assert!(agent.starts_with("trainhook/"), "{agent}");
    assert_eq!(requests[0].header("authorization"), Some("Bearer abc"));
    assert_eq!(requests[1].header("authorization"), Some("Bearer def"));
}

#[tokio::test]
async fn a_name_that_is_taken_is_the_same_attempt() {
    for first in [
        Reply::new(500, DUPLICATE),
        Reply::Close,
        Reply::CloseWithinBody,
        Reply::Hang,
    ] {
        for status in ["PENDING", "RUNNING", "SUCCEEDED"] {
            let (ray, executor) = played([first.clone(), says(status)]).await;
            let handle = executor.submit(&our_launch()).await.expect("it is there");
            assert_eq!(handle.launch_id, our_launch().id);
            assert_eq!(
                asked(&ray.finish()),
                ["POST /api/jobs/", "GET /api/jobs/ID"]
            );
        }
    }
}

/// Whether a refusal is of a kind.
type Kind = fn(&SubmitError) -> bool;

#[tokio::test]
async fn what_a_refusal_means() {
    let traceback = "Traceback (most recent call last):\n  File \"utils.py\", line 128, in parse\n    \
        ^^^^^^^^\nTypeError: JobSubmitRequest.__init__() got an unexpected keyword argument 'bogus'\n";
    let html = "<html><body>proxy</body></html>";
    let rejected = |refused: &SubmitError| matches!(refused, SubmitError::Rejected(_));
    let transient = |refused: &SubmitError| matches!(refused, SubmitError::Transient(_));
    let ambiguous = |refused: &SubmitError| matches!(refused, SubmitError::Ambiguous(_));
    let cases: [(Vec<Reply>, Kind, &str); 9] = [
        (
            vec![Reply::new(400, traceback)],
            rejected,
            "Ray says: JobSubmitRequest.__init__() got an unexpected keyword argument 'bogus'",
        ),
        (
            vec![Reply::new(401, "Unauthorized")],
            transient,
            "set token to one that this cluster takes",
        ),
        (
            vec![Reply::new(403, "")],
            transient,
            "set token to one that this cluster takes",
        ),
        (
            vec![Reply::new(404, html)],
            transient,
            "is this the dashboard's address?",
        ),
        (
            vec![Reply::new(405, "Method not allowed for browser traffic.")],
            transient,
            "does a proxy pose as a browser",
        ),
        (vec![Reply::new(302, "")], transient, "302 Found"),
        (
            vec![
                Reply::new(
                    500,
                    "No available agent to submit job, please try again later.",
                ),
                absent(),
            ],
            transient,
            "No available agent to submit job",
        ),
        (
            vec![Reply::Hang, absent()],
            ambiguous,
            "it did not come in time",
        ),
        (
            vec![Reply::new(500, DUPLICATE), Reply::Hang],
            ambiguous,
            "already exists",
        ),
    ];
    for (replies, is_so, words) in cases {
        let (ray, executor) = played(replies).await;
        let refused = executor.submit(&our_launch()).await.expect_err(words);
        assert!(
            is_so(&refused) && refused.to_string().contains(words),
            "{words}: {refused:?}"
        );
        ray.finish();
    }
    let nobody = build(
        "ray",
        Path::new("/"),
        "address = \"http://127.0.0.1:1\"\nsupervisor = \"shared\"",
    );
    let refused = nobody
        .submit(&our_launch())
        .await
        .expect_err("nobody is there");
    assert!(transient(&refused), "nothing was asked: {refused:?}");
}

#[tokio::test]
async fn a_job_of_another_server_is_never_touched() {
    let theirs = || {
        Reply::new(
            200,
            job(
                "RUNNING",
                json!({"metadata": {"trainhook_server": "another"}}),
            ),
        )
    };
    let nobodys = || Reply::new(200, job("RUNNING", json!({"metadata": null})));
    let replies = [
        Reply::new(500, DUPLICATE),
        theirs(),
        theirs(),
        nobodys(),
        theirs(),
        nobodys(),
    ];
    let (ray, executor) = played(replies).await;
    let refused = executor
        .submit(&our_launch())
        .await
        .expect_err("taken by others");
    assert!(matches!(refused, SubmitError::Rejected(_)), "{refused:?}");
    assert_eq!(executor.find(&our_launch()).await, Ok(Found::Unknowable));
    assert_eq!(look(&*executor).await.phase, Phase::Gone);
    let ended = executor.cancel(&handle(), Duration::ZERO).await;
    assert_eq!(ended, Ok(CancelOutcome::AlreadyEnded));
    assert_eq!(executor.cleanup(&handle()).await, Ok(()));
    assert!(
        ray.finish()
            .iter()
            .skip(1)
            .all(|request| request.method == "GET")
    );
}

#[tokio::test]
async fn what_ray_does_not_have_may_still_come() {
    let (_ray, executor) = played([absent(), says("PENDING")]).await;
    assert_eq!(executor.find(&our_launch()).await, Ok(Found::Unknowable));
    let found = executor.find(&our_launch()).await;
    assert!(
        matches!(&found, Ok(Found::Attempts(handles)) if handles.len() == 1),
        "{found:?}"
    );
}

async fn look(executor: &dyn Executor) -> Observation {
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
            "in Ray's queue: It may be waiting for the runtime environment to be set up.",
        ),
        (
            "PENDING",
            json!({}),
            Phase::Queued,
            "in Ray's queue: it has not been started yet",
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

#[tokio::test]
async fn a_running_job_is_asked_by_its_supervisors_own_channel_first() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let mut handle = handle();
    handle.data["attempt_dir"] = json!(folder.path());
    let stopped = || Reply::new(200, json!({"stopped": true}));
    let replies = [
        says("RUNNING"),
        says("RUNNING"),
        stopped(),
        says("PENDING"),
        stopped(),
        says("STOPPED"),
        absent(),
    ];
    let (ray, executor) = played(replies).await;
    let grace = Duration::from_secs(7);
    assert_eq!(
        executor.cancel(&handle, grace).await,
        Ok(CancelOutcome::Requested)
    );
    let wish = fs::read_to_string(folder.path().join("cancel.json")).expect("a wish");
    assert!(wish.contains("7000"), "{wish}");
    // Without a grace, or where there is no supervisor yet, Ray itself must do it.
    assert_eq!(
        executor.cancel(&handle, Duration::ZERO).await,
        Ok(CancelOutcome::Requested)
    );
    assert_eq!(
        executor.cancel(&handle, grace).await,
        Ok(CancelOutcome::Requested)
    );
    assert_eq!(
        executor.cancel(&handle, grace).await,
        Ok(CancelOutcome::AlreadyEnded)
    );
    assert_eq!(
        executor.cancel(&handle, grace).await,
        Ok(CancelOutcome::AlreadyEnded)
    );
    let (look, stop) = ("GET /api/jobs/ID", "POST /api/jobs/ID/stop");
    assert_eq!(
        asked(&ray.finish()),
        [look, look, stop, look, stop, look, look]
    );
}

#[tokio::test]
async fn a_job_is_forgotten_when_it_is_over_and_not_before() {
    let still_waits = "Traceback (most recent call last):\nRuntimeError: Attempted to delete job 'x', but it is in a \
        non-terminal state PENDING.\n.\n";
    let replies = [
        says("PENDING"),
        Reply::new(200, json!({"stopped": true})),
        says("FAILED"),
        Reply::new(500, still_waits),
        says("FAILED"),
        Reply::new(200, json!({"deleted": true})),
        absent(),
        absent(),
    ];
    let (ray, executor) = played(replies).await;
    let error = executor
        .cleanup(&handle())
        .await
        .expect_err("it is still there");
    assert_eq!(error.to_string(), "Ray has not ended it yet: it is PENDING");
    let error = executor
        .cleanup(&handle())
        .await
        .expect_err("it is still there");
    assert!(
        error.to_string().contains("non-terminal state PENDING"),
        "{error}"
    );
    assert_eq!(executor.cleanup(&handle()).await, Ok(()));
    assert_eq!(executor.cleanup(&handle()).await, Ok(()), "also twice");
    let (look, delete) = ("GET /api/jobs/ID", "DELETE /api/jobs/ID");
    let stop = "POST /api/jobs/ID/stop";
    let expected = [look, stop, look, delete, look, delete, look, look];
    assert_eq!(asked(&ray.finish()), expected);
    // What Ray's monitor makes of a job that was deleted before it had seen the end.
    let ghost =
        json!({"metadata": null, "entrypoint": "Entrypoint not found.", "start_time": null});
    let ghost = || Reply::new(200, job("FAILED", ghost.clone()));
    let deleted = || Reply::new(200, json!({"deleted": true}));
    let (ray, executor) = played([says("SUCCEEDED"), deleted(), ghost(), deleted()]).await;
    assert_eq!(executor.cleanup(&handle()).await, Ok(()));
    assert_eq!(asked(&ray.finish()), [look, delete, look, delete]);
    let more = "supervisor = \"shared\"\nkeep_ended = true";
    let (ray, executor) = played_with(more, [says("SUCCEEDED")]).await;
    assert_eq!(executor.cleanup(&handle()).await, Ok(()));
    assert_eq!(asked(&ray.finish()), [look], "it stays in Ray's list");
}

#[tokio::test]
async fn rays_own_lines_are_no_last_words() {
    let logs = "2026-11-23 10:53:50,063\tINFO job_manager.py:581 -- Runtime env is setting up.\n/bin/sh: 1: trainhook: not \
        found\nRunning entrypoint for job x: trainhook\n";
    let (_ray, executor) = played([Reply::new(200, json!({"logs": logs})), absent()]).await;
    let log = executor.engine_log(&handle()).await;
    assert_eq!(log.as_deref(), Some("/bin/sh: 1: trainhook: not found"));
    assert_eq!(executor.engine_log(&handle()).await, None);
}

#[tokio::test]
async fn the_program_is_uploaded_once_and_again_when_ray_has_forgotten_it() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let program = folder.path().join("trainhook");
    fs::write(&program, "#!/bin/sh\necho here\n").expect("the folder is writable");
    let more = format!("program = {program:?}");
    let missing = || Reply::new(404, "Package gcs://trainhook.zip does not exist");
    let taken = || Reply::new(200, "{}");
    let replies = [
        missing(),
        Reply::new(200, ""),
        taken(),
        Reply::new(200, ""),
        taken(),
        missing(),
        Reply::Hang,
    ];
    let (ray, executor) = played_with(&more, replies).await;
    executor.submit(&our_launch()).await.expect("taken");
    executor.submit(&our_launch()).await.expect("taken");
    let cut = tokio::time::timeout(Duration::from_secs(1), executor.submit(&our_launch())).await;
    assert!(cut.is_err(), "an upload may take its time");
    let requests = ray.finish();
    let package = requests[0].path.clone();
    assert!(
        package.starts_with("/api/packages/gcs/trainhook-"),
        "{package}"
    );
    let expected = ["GET", "PUT", "POST", "GET", "POST", "GET", "PUT"];
    let methods: Vec<&str> = requests
        .iter()
        .map(|request| request.method.as_str())
        .collect();
    assert_eq!(methods, expected);
    assert_eq!(requests[1].path, package);
    let body = requests[2].json();
    let address = format!("gcs://{}", package.trim_start_matches("/api/packages/gcs/"));
    assert_eq!(body["runtime_env"]["py_modules"], json!([address]));
    unpacks(folder.path(), &requests[1].body);
}

/// As Ray unpacks it.
fn unpacks(folder: &Path, archive: &[u8]) {
    fs::write(folder.join("package.zip"), archive).expect("the folder is writable");
    let script = "import zipfile; z = zipfile.ZipFile('package.zip'); i = z.infolist(); \
        assert z.testzip() is None and len(i) == 1; print(oct(i[0].external_attr >> 16), z.read(i[0]).decode())";
    let read = std::process::Command::new("python3")
        .args(["-c", script])
        .current_dir(folder)
        .output()
        .expect("python3 is there");
    let text = String::from_utf8_lossy(&read.stdout);
    assert_eq!(text.trim(), "0o100755 #!/bin/sh\necho here", "{read:?}");
}

#[tokio::test]
async fn a_check_tells_rays_apart_from_others() {
    let version = || Reply::new(200, json!({"version": "4", "ray_version": "2.60.0"}));
    let status = json!({"data": {"clusterStatus": {"loadMetricsReport": {"usage": {"CPU": [0.0, 4.0], "GPU": [0.0, 2.0]}}}}});
    let (_ray, executor) = played([version(), absent(), Reply::new(200, status)]).await;
    assert_eq!(
        executor.check().await.expect("well"),
        "Ray 2.60.0, 4 CPUs, 2 GPUs"
    );
    let (_ray, executor) = played([version(), Reply::new(401, "Unauthorized")]).await;
    let error = executor.check().await.expect_err("no token");
    assert!(error.to_string().contains("set token"), "{error}");
    let (_ray, executor) = played([Reply::new(200, "{}")]).await;
    let error = executor.check().await.expect_err("something else");
    assert!(
        error.to_string().ends_with("is not a dashboard of Ray's"),
        "{error}"
    );
}
