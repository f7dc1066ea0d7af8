//! A stop takes effect at once, whatever is under way.

use trainhook::emulator::{Dataset, Fault, FaultKind};

use super::{assert_digits, in_files_of, model, start, start_with};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_cancelled_while_labelbox_prepares_its_data_ends_at_once() {
    let stack = start(&model("digits", "true", "")).await;
    let takes = FaultKind::Takes {
        milliseconds: 100_000,
    };
    let fault = Fault::once("exportDataRowsInModelRun", takes);
    stack.emulator.add_fault(fault);
    let (run, id) = stack.click_with(&Dataset::digits(), "digits").await;
    stack.waits_for(&id, "Labelbox prepares the export").await;
    stack.trainhook(&["jobs", "cancel", &id]);
    stack.told(&run, "FAILED").await;
    assert_eq!(stack.job(&id)["job"]["state"], "cancelled");
    // The run is free, and its next job has a task of its own.
    let retried = stack.trainhook(&["jobs", "retry", &id, "--json"]);
    let retried: serde_json::Value = serde_json::from_str(&retried).expect("JSON");
    stack.told(&run, "COMPLETE").await;
    let next = retried["job"]["id"].as_str().expect("a job");
    assert_digits(&stack.job_dir(next));
    assert_eq!(stack.emulator.export_tasks(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_cancelled_while_its_data_comes_asks_for_no_more_of_it() {
    let stack = start_with("", in_files_of(100_000), &model("digits", "true", "")).await;
    let hangs = FaultKind::Hang {
        milliseconds: 100_000,
    };
    let slow = FaultKind::Delay { milliseconds: 50 };
    stack
        .emulator
        .add_fault(Fault::times("/files/exports", 2, slow));
    stack
        .emulator
        .add_fault(Fault::once("/files/exports", hangs));
    let (run, id) = stack.click_with(&Dataset::digits(), "digits").await;
    stack.fetched(3).await;
    stack.trainhook(&["jobs", "cancel", &id]);
    stack.told(&run, "FAILED").await;
    // What was begun is over by the time that another job is through.
    let (other, _) = stack
        .click_with(&Dataset::generated(5, 300), "digits")
        .await;
    stack.told(&other, "COMPLETE").await;
    assert_eq!(stack.emulator.file_requests().len(), 4);
}
