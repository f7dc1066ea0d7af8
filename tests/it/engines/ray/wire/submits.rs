//! Submits, and what they are told.

use std::{fs, path::Path, time::Duration};

use serde_json::json;
use trainhook::{
    executor::{CancelOutcome, Found, SubmitError},
    job::Phase,
};

use super::{
    SERVER, absent, asked, handle, job, looks::look, our_launch, played, played_with, says,
};
use crate::{engines::build, support::scripted::Reply};

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
