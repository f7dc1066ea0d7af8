//! What an earlier job left in Labelbox does not pass for a word of the next one.

use std::fs;

use trainhook::emulator::{Emulator, Pipeline};

use super::{count, settled};
use crate::support::stack::{LIMIT, Stack, model};

/// The first job tells `old` and fails; the next ones tell `new` and succeed.
const SCRIPT: &str = "if [ -e go ]; then $TRAINHOOK_BIN event metric new=2; exit 0; fi; \
    $TRAINHOOK_BIN event metric old=1; while [ ! -e fail ]; do sleep 0.05; done; \
    echo 'the first one failed' >&2; exit 3";

/// A run whose first job told a metric and failed.
async fn after_a_failure(stack: &Stack) -> String {
    let run = stack.new_run();
    stack.click(&run, "job").await;
    let told = stack.emulator.wait_for(&run, LIMIT, |timeline| {
        let mut metadata = timeline.iter().filter_map(|entry| entry.metadata.as_ref());
        metadata.any(|metadata| metadata.contains_key("old"))
    });
    told.await.expect("the first job's metric");
    fs::write(stack.folder.path().join("fail"), "").expect("the folder is writable");
    stack.told(&run, "FAILED").await;
    run
}

fn shown(emulator: &Emulator, run: &str) -> Pipeline {
    emulator.pipeline(run).expect("the run")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_completes_after_a_failure_shows_nothing_of_the_failure() {
    let stack = Stack::start(&model("job", SCRIPT, "")).await;
    let run = after_a_failure(&stack).await;
    let failed = shown(&stack.emulator, &run);
    let old = failed.error_message.expect("the failure's message");
    assert!(old.starts_with("the first one failed"), "{old}");
    stack.go();
    stack.click(&run, "job").await;
    let timeline = stack.told(&run, "COMPLETE").await;
    assert_eq!(count(&timeline, "FAILED"), 1);
    let pipeline = shown(&stack.emulator, &run);
    let text = pipeline
        .error_message
        .expect("a text instead of the old one");
    assert!(
        text.starts_with("completed") && !text.contains("first one failed"),
        "{text}"
    );
    let metadata = pipeline.metadata.expect("metadata");
    assert_eq!(
        (&metadata["old"], &metadata["new"]),
        (&"".into(), &"2".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_job_blanks_the_metrics_of_the_last_one_at_once() {
    let stack = Stack::start(&model("job", SCRIPT, "")).await;
    let run = after_a_failure(&stack).await;
    settled(&stack).await;
    let before = stack.emulator.timeline(&run).len();
    stack.go();
    stack.click(&run, "job").await;
    let timeline = stack.told(&run, "COMPLETE").await;
    let first = &timeline[before];
    let metadata = first.metadata.as_ref().expect("metadata");
    assert_eq!(metadata["old"], "", "{first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_never_failed_shows_no_message() {
    let stack = Stack::start(&model("job", SCRIPT, "")).await;
    let run = stack.new_run();
    stack.go();
    stack.click(&run, "job").await;
    stack.told(&run, "COMPLETE").await;
    assert_eq!(shown(&stack.emulator, &run).error_message, None);
}
