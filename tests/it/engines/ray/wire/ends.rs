//! Stops, and what is left behind.

use std::{fs, time::Duration};

use serde_json::json;
use trainhook::executor::CancelOutcome;

use super::{absent, asked, handle, job, played, played_with, says};
use crate::support::scripted::Reply;

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
