//! `jobs retry-upload` where something happened meanwhile: one is enough, and no two begin.

use serde_json::json;
use trainhook::emulator::{Fault, FaultKind};

use super::{HAND_OVER, LOOK, POST, fails, lines, sizes, start, start_model, status};
use crate::{
    admin::post,
    support::stack::{Stack, wait_until},
};

/// The names of a job's imports, at Labelbox.
fn imported_by(stack: &Stack, run: &str, id: &str) -> usize {
    let summary = stack.imported(run);
    let own = id.replace('-', "");
    let mut imports = summary.imports.iter();
    imports
        .by_ref()
        .filter(|import| import.name.contains(&own))
        .count()
}

/// Clicks on a run whose first import comes to nothing, and has that hidden from the server; answers run and job.
async fn click_unseen(stack: &Stack) -> (String, String) {
    // The first look comes before the import is sent; nothing is seen of it then.
    let first = FaultKind::Delay { milliseconds: 0 };
    for fault in [
        Fault::once(POST, fails("no luck")),
        Fault::once(LOOK, first),
        Fault::times(LOOK, 100, status(503)),
    ] {
        stack.emulator.add_fault(fault);
    }
    stack.click_run().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_failed_after_its_job_was_cancelled_is_sent_by_the_first_retry() {
    let stack = start("").await;
    stack.leave(&lines(0..5));
    let (run, id) = click_unseen(&stack).await;
    let sent = |states: &[String]| states == ["posted", "frozen", "frozen"];
    stack
        .imports_are(&id, "an import that was sent", sent)
        .await;
    stack.trainhook(&["jobs", "cancel", &id]);
    stack.failed(&run).await;
    stack.emulator.clear_faults();
    let retried = stack.retry_upload(&id);
    stack.told(&run, "COMPLETE").await;
    let summary = stack.imported(&run);
    assert_eq!((summary.predictions, summary.repeated_imports), (5, 0));
    assert_eq!(
        (
            imported_by(&stack, &run, &id),
            imported_by(&stack, &run, &retried)
        ),
        (1, 3)
    );
    let shown = stack.trainhook(&["jobs", "show", &retried]);
    let told = format!("as th-{}-u1-c1, and is sent once more", id.replace('-', ""));
    assert!(shown.contains(&told), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_as_this_jobs_own_import_fails_the_job() {
    let stack = start("upload_timeout = \"3s\"").await;
    stack.leave(&lines(0..2));
    let (run, id) = click_unseen(&stack).await;
    stack.failed(&run).await;
    stack.emulator.clear_faults();
    stack
        .emulator
        .add_fault(Fault::once(POST, fails("no luck")));
    let retried = stack.retry_upload(&id);
    stack.ended(&retried).await;
    let message = stack.job(&retried)["job"]["message"].clone();
    let message = message.as_str().expect("a reason");
    assert!(
        message.contains("could not import chunk 1 of 1"),
        "{message}"
    );
    assert_eq!(stack.imported(&run).imports.len(), 2);
    stack.retry_upload(&retried);
    stack.told(&run, "COMPLETE").await;
    let summary = stack.imported(&run);
    assert_eq!((summary.predictions, summary.repeated_imports), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_retries_at_the_same_moment_one_begins() {
    let stack = start("").await;
    stack.leave(&lines(0..3));
    stack
        .emulator
        .add_fault(Fault::once(POST, fails("no luck")));
    let (run, id) = stack.click_run().await;
    stack.failed(&run).await;
    let holds = FaultKind::Hang {
        milliseconds: 60_000,
    };
    stack.emulator.add_fault(Fault::once(POST, holds));
    let path = format!("/api/jobs/{id}/retry-upload");
    let retries = (0..16).map(|_| post(&stack, &path, json!({})));
    let answers = futures_util::future::join_all(retries).await;
    let (begun, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(begun.len(), 1, "{answers:?}");
    let job = begun[0].json()["job"]["id"].clone();
    for answer in refused {
        assert_eq!(
            (answer.status, answer.error_code().as_str()),
            (409, "still_live")
        );
        let message = answer.json()["error"]["message"].clone();
        let named = job
            .as_str()
            .is_some_and(|job| message.as_str().is_some_and(|text| text.contains(job)));
        assert!(named, "{message}");
    }
    assert_eq!(sizes(&stack.imported(&run)).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_labelbox_refused_is_not_taken_for_sent_once_nobody_knows_it() {
    let stack = start("").await;
    stack.leave(&lines(0..2));
    let every = FaultKind::RefusesEvery { lines: 2 };
    stack.emulator.add_fault(Fault::once(POST, every));
    let (run, id) = stack.click_run().await;
    stack.failed(&run).await;
    let gone = stack.server_dir(&id).join("upload/c1.refused.ndjson");
    std::fs::remove_file(gone).expect("it is there");
    let retried = stack.retry_upload(&id);
    stack.ended(&retried).await;
    assert_eq!(
        stack.job(&retried)["job"]["message"],
        "trained, but what was frozen of its predictions cannot be used: upload/c1.refused.ndjson is gone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_was_changed_ends_the_job_instead_of_holding_it_up() {
    let stack = start("").await;
    stack.leave(&lines(0..2));
    stack
        .emulator
        .add_fault(Fault::once(POST, fails("no luck")));
    let (run, id) = stack.click_run().await;
    stack.failed(&run).await;
    let manifest = stack.server_dir(&id).join("upload/frozen.json");
    std::fs::write(manifest, "{").expect("writable");
    let retried = stack.retry_upload(&id);
    stack.ended(&retried).await;
    let message = stack.job(&retried)["job"]["message"].clone();
    let message = message.as_str().expect("a reason");
    let wanted =
        "trained, but what was frozen of its predictions cannot be used: upload/frozen.json: ";
    assert!(message.starts_with(wanted), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_job_whose_files_were_removed_nothing_is_uploaded() {
    let stack = start("").await;
    stack.leave(&lines(0..2));
    for (removed, wanted) in [
        (
            "upload/c1.ndjson",
            "trained, but what was frozen of its predictions cannot be used: upload/c1.ndjson is gone",
        ),
        (
            "",
            "its predictions cannot be held against the exported rows, which are no longer in the job's folder: train \
             again with `trainhook jobs retry`",
        ),
    ] {
        stack
            .emulator
            .add_fault(Fault::once(POST, fails("no luck")));
        let (run, id) = stack.click_run().await;
        stack.failed(&run).await;
        let path = stack.server_dir(&id).join(removed);
        match path.is_dir() {
            true => std::fs::remove_dir_all(path).expect("it is there"),
            false => std::fs::remove_file(path).expect("it is there"),
        }
        let retried = stack.retry_upload(&id);
        stack.ended(&retried).await;
        assert_eq!(stack.job(&retried)["job"]["message"], wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_in_parts_is_not_frozen_anew() {
    let stack = start("").await;
    stack.leave(&lines(0..4));
    let first = FaultKind::Delay { milliseconds: 0 };
    stack.emulator.add_fault(Fault::once(POST, first));
    stack
        .emulator
        .add_fault(Fault::once(POST, fails("no luck")));
    let (run, id) = stack.click_run().await;
    stack.failed(&run).await;
    std::fs::remove_dir_all(stack.server_dir(&id).join("upload")).expect("it was frozen");
    let retried = stack.retry_upload(&id);
    stack.ended(&retried).await;
    let wanted = format!(
        "what job {id} had frozen of its predictions is gone, and some of it was sent: train again with `trainhook \
         jobs retry`"
    );
    assert_eq!(stack.job(&retried)["job"]["message"], wanted);
    // The second one is the one that failed.
    assert_eq!(sizes(&stack.imported(&run)), [(2, 0), (0, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_fails_again_keeps_the_numbers_of_the_training() {
    let script =
        format!("echo '{{{{\"accuracy\": 0.5}}}}' > $TRAINHOOK_OUT_DIR/metrics.json; {HAND_OVER}");
    let stack = start_model(&script, "params = { rate = 0.5 }").await;
    stack.leave(&lines(0..2));
    stack
        .emulator
        .add_fault(Fault::times(POST, 2, fails("no luck")));
    let (run, id) = stack.click_run().await;
    stack.failed(&run).await;
    let told = || {
        let metadata = stack.emulator.pipeline(&run).expect("the run").metadata;
        let metadata = metadata.expect("metadata");
        (metadata["accuracy"].clone(), metadata["param_rate"].clone())
    };
    assert_eq!(told(), ("0.5".into(), "0.5".into()));
    let mut last = id;
    // The second one fails before it sends anything, since what was frozen is gone.
    for gone in [false, true] {
        if gone {
            let frozen = stack.server_dir(&last).join("upload/c1.ndjson");
            std::fs::remove_file(frozen).expect("it was frozen");
        }
        last = stack.retry_upload(&last);
        stack.ended(&last).await;
        let is_told = || {
            let timeline = stack.emulator.timeline(&run);
            let final_one = timeline.last().filter(|last| last.status == "FAILED")?;
            let told = final_one.metadata.as_ref()?["trainhook_job"] == last;
            told.then_some(())
        };
        wait_until("the end in Labelbox", is_told).await;
        assert_eq!(told(), ("0.5".into(), "0.5".into()));
    }
}
