//! kill -9 of the server at the instants of an upload that matter: nothing is imported twice, nothing is lost.

use trainhook::emulator::{Fault, FaultKind};

use super::{LOOK, POST, RESULTS, assert_whole, lines, sizes, start};
use crate::support::stack::{Stack, wait_until};

/// One COMPLETE, everything once.
async fn ends_well(stack: &Stack, run: &str) {
    stack.told(run, "COMPLETE").await;
    assert_whole(&stack.imported(run), 5);
    assert_eq!(sizes(&stack.imported(run)), [(2, 0), (2, 0), (1, 0)]);
    let finals = stack.emulator.timeline(run);
    let finals = finals.iter().filter(|entry| entry.status == "COMPLETE");
    assert_eq!(finals.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_the_second_chunk_is_sent_loses_and_repeats_nothing() {
    for took_effect in [false, true] {
        let mut stack = start("").await;
        stack.leave(&lines(0..5));
        stack
            .emulator
            .add_fault(Fault::once(POST, FaultKind::Delay { milliseconds: 0 }));
        let held = match took_effect {
            true => FaultKind::AnswerLate {
                milliseconds: 600_000,
            },
            false => FaultKind::Hang {
                milliseconds: 600_000,
            },
        };
        stack.emulator.add_fault(Fault::once(POST, held));
        let (run, id) = stack.click_run().await;
        stack
            .imports_are(&id, "the second chunk on its way", |states| {
                states == ["finished", "posting", "frozen"]
            })
            .await;
        let imports = 1 + usize::from(took_effect);
        wait_until("what it does at Labelbox", || {
            (stack.imported(&run).imports.len() == imports).then_some(())
        })
        .await;
        stack.server.kill();
        stack.restart().await;
        ends_well(&stack, &run).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_an_import_runs_finds_it_again() {
    let mut stack = start("").await;
    stack.leave(&lines(0..5));
    stack
        .emulator
        .add_fault(Fault::once(POST, FaultKind::Takes { milliseconds: 2500 }));
    let (run, id) = stack.click_run().await;
    stack
        .imports_are(&id, "a running import", |states| {
            states.first().is_some_and(|state| state == "posted")
        })
        .await;
    stack.server.kill();
    stack.restart().await;
    ends_well(&stack, &run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_results_are_read_or_imports_looked_at_changes_nothing() {
    for operation in [RESULTS, LOOK] {
        let mut stack = start("").await;
        stack.leave(&lines(0..5));
        stack.emulator.add_fault(Fault::once(
            operation,
            FaultKind::Hang {
                milliseconds: 60_000,
            },
        ));
        let (run, _) = stack.click_run().await;
        wait_until("the call that hangs", || {
            let files = stack.emulator.file_requests();
            let results = files
                .iter()
                .filter(|path| path.starts_with(RESULTS))
                .count();
            let requests = stack.emulator.requests();
            let looks = requests
                .iter()
                .filter(|call| call.root_field.as_deref() == Some(LOOK));
            let calls = if operation == RESULTS {
                results
            } else {
                looks.count()
            };
            (calls > 0).then_some(())
        })
        .await;
        stack.server.kill();
        stack.emulator.clear_faults();
        stack.restart().await;
        ends_well(&stack, &run).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_frozen_is_what_is_sent_whatever_becomes_of_the_commands_file() {
    let mut stack = start("").await;
    stack.leave(&lines(0..5));
    stack
        .emulator
        .add_fault(Fault::once(POST, FaultKind::Takes { milliseconds: 2000 }));
    let (run, id) = stack.click_run().await;
    stack
        .imports_are(&id, "a running import", |states| {
            states.first().is_some_and(|state| state == "posted")
        })
        .await;
    stack.server.kill();
    let job = stack.folder.path().join("jobs").join(&id);
    std::fs::write(job.join("a1/out/predictions.ndjson"), "broken").expect("writable");
    stack.restart().await;
    ends_well(&stack, &run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_predictions_that_were_changed_are_not_sent() {
    let mut stack = start("").await;
    stack.leave(&lines(0..5));
    stack
        .emulator
        .add_fault(Fault::once(POST, FaultKind::Takes { milliseconds: 2000 }));
    let (run, id) = stack.click_run().await;
    stack
        .imports_are(&id, "a running import", |states| {
            states.first().is_some_and(|state| state == "posted")
        })
        .await;
    stack.server.kill();
    let chunk = stack.server_dir(&id).join("upload/c2.ndjson");
    let text = std::fs::read_to_string(&chunk).expect("readable");
    std::fs::write(&chunk, text.replace("0.5", "0.6")).expect("writable");
    stack.restart().await;
    let reason = stack.failed(&run).await;
    assert!(reason.contains("upload/c2.ndjson was changed"), "{reason}");
    assert_eq!(stack.imported(&run).imports.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_forgot_what_was_sent_finds_it_at_labelbox() {
    let mut stack = start("").await;
    stack.leave(&lines(0..5));
    stack
        .emulator
        .add_fault(Fault::once(POST, FaultKind::Delay { milliseconds: 0 }));
    stack
        .emulator
        .add_fault(Fault::once(POST, FaultKind::Takes { milliseconds: 4000 }));
    let (run, id) = stack.click_run().await;
    let second_runs = |states: &[String]| states == ["finished", "posted", "frozen"];
    stack
        .imports_are(&id, "the second import", second_runs)
        .await;
    stack.server.kill();
    let database = stack.folder.path().join("state/trainhook.db");
    let store = rusqlite::Connection::open(database).expect("a database");
    let forgotten = store.execute("DELETE FROM imports", []).expect("writable");
    assert_eq!(forgotten, 3);
    drop(store);
    stack.restart().await;
    ends_well(&stack, &run).await;
}
