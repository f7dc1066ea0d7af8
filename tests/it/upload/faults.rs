//! Labelbox goes wrong at every request of an upload: everything arrives once, or the job says why not.

use serde_json::json;
use trainhook::emulator::{Fault, FaultKind};

use super::{LOOK, POST, RESULTS, assert_whole, fails, lines, start, status};
use crate::support::stack::{statuses, wait_until};

fn too_many() -> FaultKind {
    FaultKind::Status {
        status: 429,
        body: Some(json!({"message": "You have exceeded the limit"})),
        headers: vec![("retry-after".to_owned(), "1".to_owned())],
    }
}

fn conflict() -> FaultKind {
    FaultKind::GraphqlError {
        code: "RESOURCE_CONFLICT".to_owned(),
        message: "an import of that name exists".to_owned(),
        exception_status: None,
    }
}

/// Everything arrives once, whatever happens to the first call.
async fn survives(operation: &str, kinds: Vec<FaultKind>) {
    let trials = kinds.into_iter().map(|kind| async move {
        let stack = start("").await;
        stack.leave(&lines(0..3));
        stack
            .emulator
            .add_fault(Fault::once(operation, kind.clone()));
        let (run, _) = stack.click_run().await;
        let timeline = stack.told(&run, "COMPLETE").await;
        let summary = stack.imported(&run);
        assert_eq!(summary.predictions, 3, "{kind:?}: {summary:?}");
        assert_eq!(summary.repeated_imports, 0, "{kind:?}: {summary:?}");
        assert_eq!(statuses(&timeline).last(), Some(&"COMPLETE"));
    });
    futures_util::future::join_all(trials).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_breaks_on_its_way_arrives_once() {
    let cut = FaultKind::TruncateBody { bytes: 10 };
    let kinds = vec![
        FaultKind::DropBefore,
        FaultKind::DropAfter,
        status(502),
        too_many(),
        cut,
    ];
    survives(POST, kinds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_cannot_be_looked_at_is_looked_at_again() {
    let kinds = vec![
        FaultKind::DropBefore,
        status(503),
        too_many(),
        FaultKind::Delay { milliseconds: 300 },
    ];
    survives(LOOK, kinds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_break_on_their_way_are_fetched_again() {
    let kinds = vec![
        FaultKind::DropBefore,
        FaultKind::TruncateBody { bytes: 30 },
        status(500),
        // An address that holds no longer: another one is asked for.
        status(403),
    ];
    survives(RESULTS, kinds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_stays_is_believed() {
    let stack = start("").await;
    stack.leave(&lines(0..3));
    stack.emulator.add_fault(Fault::times(POST, 3, conflict()));
    let (run, _) = stack.click_run().await;
    let reason = stack.failed(&run).await;
    assert!(reason.contains("RESOURCE_CONFLICT"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_odd_refusal_ends_no_upload() {
    // A page of something on the way.
    survives(POST, vec![conflict(), status(403), status(404)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_nobody_knows_may_have_done_something() {
    let stack = start("").await;
    stack.leave(&lines(0..2));
    let unheard_of = FaultKind::GraphqlError {
        code: "UPSTREAM_TIMEOUT".to_owned(),
        message: "no answer in time".to_owned(),
        exception_status: None,
    };
    stack.emulator.add_fault(Fault::once(POST, unheard_of));
    let (run, id) = stack.click_run().await;
    let looked_for = || {
        let shown = stack.job(&id);
        let waiting = shown["job"]["waiting"].as_str()?;
        let told = waiting.contains("UPSTREAM_TIMEOUT");
        told.then_some(shown)
    };
    let shown = wait_until("what Labelbox said", looked_for).await;
    assert_eq!(
        shown["imports"][0]["state"], "posting",
        "not sent anew at once"
    );
    stack.told(&run, "COMPLETE").await;
    assert_whole(&stack.imported(&run), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_by_what_was_sent_before_is_looked_for_once_more() {
    let stack = start("").await;
    stack.leave(&lines(0..2));
    // It took effect, the answer was lost, and Labelbox does not show it for a while.
    let unknown = FaultKind::GraphqlError {
        code: "RESOURCE_NOT_FOUND".to_owned(),
        message: "no such import".to_owned(),
        exception_status: None,
    };
    stack
        .emulator
        .add_fault(Fault::times(LOOK, 10_000, unknown));
    let faults = [FaultKind::DropAfter, conflict()];
    for kind in faults {
        stack.emulator.add_fault(Fault::once(POST, kind));
    }
    let (run, id) = stack.click_run().await;
    let sent_twice = || {
        let requests = stack.emulator.requests();
        let posts = requests.iter();
        let posts = posts.filter(|request| request.root_field.as_deref() == Some(POST));
        (posts.count() == 2).then_some(())
    };
    wait_until("the chunk that is sent again", sent_twice).await;
    let is_noted = || {
        let waiting = stack.job(&id)["job"]["waiting"].clone();
        waiting
            .as_str()?
            .contains("RESOURCE_CONFLICT")
            .then_some(())
    };
    wait_until("the refusal", is_noted).await;
    stack.emulator.clear_faults();
    stack.told(&run, "COMPLETE").await;
    assert_whole(&stack.imported(&run), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_folder_cannot_be_read_is_stopped_all_the_same() {
    let stack = start("").await;
    stack.leave(&lines(0..2));
    stack
        .emulator
        .add_fault(Fault::times(POST, 10_000, status(503)));
    let (run, id) = stack.click_run().await;
    let posting = |states: &[String]| states == ["posting"];
    stack.imports_are(&id, "a chunk under way", posting).await;
    let (frozen, moved) = (
        stack.server_dir(&id).join("upload"),
        stack.folder.path().join("moved"),
    );
    std::fs::rename(&frozen, &moved).expect("it is there");
    std::os::unix::fs::symlink(&moved, &frozen).expect("the folder is writable");
    let waits = || {
        let waiting = stack.job(&id)["job"]["waiting"].clone();
        waiting
            .as_str()?
            .contains("the job directory")
            .then_some(())
    };
    wait_until("a folder that cannot be read", waits).await;
    stack.trainhook(&["jobs", "cancel", &id]);
    stack.told(&run, "FAILED").await;
    assert_eq!(stack.job(&id)["job"]["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_fails_as_a_whole_fails_the_job() {
    let stack = start("").await;
    stack.leave(&lines(0..5));
    let fails = fails("no luck");
    stack.emulator.add_fault(Fault {
        operation: Some(POST.to_owned()),
        times: 1,
        kind: fails,
    });
    let (run, id) = stack.click_run().await;
    let reason = stack.failed(&run).await;
    assert!(
        reason
            .starts_with("trained, but Labelbox could not import chunk 1 of 3 of its predictions"),
        "{reason}"
    );
    let shown = stack.job(&id);
    let states: Vec<&str> = shown["imports"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|import| import["state"].as_str())
        .collect();
    assert_eq!(states, ["failed", "frozen", "frozen"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_have_expired_make_no_complete() {
    let stack = start("").await;
    stack.leave(&lines(0..1));
    stack
        .emulator
        .add_fault(Fault::times(RESULTS, 100, status(404)));
    let (run, _) = stack.click_run().await;
    let reason = stack.failed(&run).await;
    assert!(
        reason.starts_with("trained, but nobody knows which of its predictions Labelbox took: the results of an import"),
        "{reason}"
    );
    assert!(
        stack
            .emulator
            .timeline(&run)
            .iter()
            .all(|entry| entry.status != "COMPLETE")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_gone_is_said_so() {
    let stack = start("").await;
    stack.leave(&lines(0..1));
    let gone = FaultKind::GraphqlError {
        code: "RESOURCE_NOT_FOUND".to_owned(),
        message: "no such model run".to_owned(),
        exception_status: None,
    };
    stack.emulator.add_fault(Fault::times(POST, 3, gone));
    let (run, _) = stack.click_run().await;
    let reason = stack.failed(&run).await;
    assert!(
        reason.starts_with("trained, but Labelbox does not know the model run any longer"),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_takes_too_long_says_how_far_it_came() {
    let stack = start("upload_timeout = \"3s\"").await;
    stack.leave(&lines(0..4));
    stack
        .emulator
        .add_fault(Fault::once(POST, FaultKind::Delay { milliseconds: 0 }));
    stack.emulator.add_fault(Fault::once(
        POST,
        FaultKind::Takes {
            milliseconds: 600_000,
        },
    ));
    let (run, _) = stack.click_run().await;
    let reason = stack.failed(&run).await;
    assert!(
        reason.starts_with(
            "trained, but the upload took longer than its upload_timeout of 3s: 2 of 4 predictions were imported"
        ),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_to_stop_is_heard_between_chunks() {
    let stack = start("").await;
    stack.leave(&lines(0..6));
    stack
        .emulator
        .add_fault(Fault::once(POST, FaultKind::Delay { milliseconds: 0 }));
    stack.emulator.add_fault(Fault::once(
        POST,
        FaultKind::Takes {
            milliseconds: 600_000,
        },
    ));
    let (run, id) = stack.click_run().await;
    stack
        .imports_are(&id, "the second chunk on its way", |states| {
            states == ["finished", "posted", "frozen"]
        })
        .await;
    stack.trainhook(&["jobs", "cancel", &id]);
    let reason = stack.failed(&run).await;
    assert!(
        reason.contains("after 2 of 6 predictions were imported"),
        "{reason}"
    );
    assert_eq!(stack.job(&id)["job"]["state"], "cancelled");
    assert_eq!(stack.imported(&run).imports.len(), 2);
    let retried = stack.retry_upload(&id);
    stack.emulator.clear_faults();
    stack
        .imports_are(&retried, "the rest", |states| {
            states == ["posted", "frozen"]
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_to_stop_that_came_before_beats_exit_0() {
    let script = "trap '' TERM; echo up > up; while [ ! -e go ]; do sleep 0.05; done; cp predictions.ndjson $TRAINHOOK_OUT_DIR/";
    let stack = super::start_model(script, "cancel_grace = \"50s\"").await;
    stack.leave(&lines(0..1));
    let (run, id) = stack.click_run().await;
    stack.wait_for_lines("up", 1).await;
    stack.trainhook(&["jobs", "cancel", &id]);
    stack.go();
    stack.failed(&run).await;
    assert_eq!(stack.job(&id)["job"]["state"], "cancelled");
    assert!(stack.imported(&run).imports.is_empty());
    assert_whole(&stack.imported(&run), 0);
}
