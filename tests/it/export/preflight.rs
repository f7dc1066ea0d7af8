//! Data that will not do is told in seconds, in words for whoever labels.

use trainhook::emulator::{Dataset, Fault, FaultKind};

use super::{model, reason, start};

const RUNS: &str = "echo ran > ran";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_rows_trains_nothing() {
    let stack = start(&model("texts", RUNS, "")).await;
    let run = stack.new_run();
    stack.click(&run, "texts").await;
    let reason = reason(&stack, &run).await;
    assert!(
        reason.starts_with("the model run has no data rows: add some to it in Labelbox"),
        "{reason}"
    );
    assert!(stack.lines("ran").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_without_enough_rows_is_named() {
    let models = [
        model("tested", RUNS, "preflight = { training = 1, test = 1 }"),
        model("many", RUNS, "preflight = { training = 9 }"),
        model("fine", "true", "preflight = { training = 8 }"),
    ];
    let stack = start(&models.concat()).await;
    // The first eight rows are to learn from.
    let data = Dataset::generated(8, 300);
    let (run, id) = stack.click_with(&data, "tested").await;
    let none = reason(&stack, &run).await;
    assert!(
        none.starts_with("the run has no rows in split 'test': assign some to it in Labelbox"),
        "{none}"
    );
    assert_eq!(stack.job(&id)["job"]["cause"], "preflight");
    let (run, _) = stack.click_with(&data, "many").await;
    let few = reason(&stack, &run).await;
    assert!(
        few.starts_with("the run has only 8 rows in split 'training', but 9 are needed"),
        "{few}"
    );
    assert!(stack.lines("ran").is_empty());
    let (run, _) = stack.click_with(&data, "fine").await;
    stack.told(&run, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rows_are_told_while_labelbox_still_prepares_the_export() {
    let wanted = "preflight = { test = 1 }";
    let stack = start(&model("tested", RUNS, wanted)).await;
    for (data, words) in [
        (None, "the model run has no data rows"),
        (
            Some(Dataset::generated(8, 300)),
            "the run has no rows in split 'test'",
        ),
    ] {
        // Longer than any test waits.
        let takes = FaultKind::Takes {
            milliseconds: 3_600_000,
        };
        stack
            .emulator
            .add_fault(Fault::once("exportDataRowsInModelRun", takes));
        let run = data.map_or_else(|| stack.new_run(), |data| stack.run_with(&data));
        stack.click(&run, "tested").await;
        let reason = reason(&stack, &run).await;
        assert!(reason.starts_with(words), "{reason}");
    }
    assert!(stack.lines("ran").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn classes_without_a_label_are_named() {
    let wanted = "preflight = { every_class_labelled = true }";
    let stack = start(&model("texts", "true", wanted)).await;
    for (rows, words) in [
        (
            3,
            "the class 'kind: kind-d' has no label in the training split: label some rows there",
        ),
        (
            1,
            "the classes 'kind: kind-b', 'kind: kind-c', 'kind: kind-d' have no label in the training split",
        ),
    ] {
        let (run, _) = stack
            .click_with(&Dataset::generated(rows, 300), "texts")
            .await;
        let reason = reason(&stack, &run).await;
        assert!(reason.starts_with(words), "{reason}");
    }
    for data in [Dataset::generated(4, 300), Dataset::digits()] {
        let (run, _) = stack.click_with(&data, "texts").await;
        stack.told(&run, "COMPLETE").await;
    }
}
