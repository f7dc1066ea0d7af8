//! How many jobs have their data before there is a slot for them, and how old it may become.

use trainhook::emulator::Dataset;

use super::{model, start_with};
use crate::support::stack::UNTIL_GO;

#[tokio::test(flavor = "multi_thread")]
async fn no_more_data_lies_ready_than_was_allowed() {
    let executor = "max_running = 1\nexport_ahead = 1";
    let stack = start_with(executor, Default::default(), &model("texts", UNTIL_GO, "")).await;
    let data = Dataset::generated(10, 300);
    let mut jobs = vec![stack.click_with(&data, "texts").await];
    stack.reached(&jobs[0].1, "running").await;
    for _ in 0..4 {
        let job = stack.click_with(&data, "texts").await;
        jobs.push(job);
    }
    // One slot and one ahead wait with their data; the others without.
    for (_, id) in &jobs[3..] {
        stack
            .waits_for(id, "waits until fewer jobs of executor local")
            .await;
        assert_eq!(stack.job(id)["job"]["state"], "accepted");
    }
    for (_, id) in &jobs[1..3] {
        stack.reached(id, "queued").await;
    }
    assert_eq!(stack.emulator.export_tasks(), 3);
    stack.go();
    for (run, _) in &jobs {
        stack.told(run, "COMPLETE").await;
    }
    assert_eq!(stack.emulator.export_tasks(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_is_too_old_is_fetched_again_before_it_is_used() {
    let settings = "export_max_age = \"1s\"";
    let script = format!("{UNTIL_GO}; wc -l < $TRAINHOOK_TRAINING_FILE >> rows");
    let models = model("texts", &script, settings);
    let stack = start_with("max_running = 1", Default::default(), &models).await;
    let (first, first_id) = stack
        .click_with(&Dataset::generated(10, 300), "texts")
        .await;
    stack.reached(&first_id, "running").await;
    let (second, second_id) = stack
        .click_with(&Dataset::generated(10, 300), "texts")
        .await;
    stack.reached(&second_id, "queued").await;
    // The time that passes is what makes it old.
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    assert!(
        stack
            .emulator
            .set_dataset(&second, Some(Dataset::generated(20, 300)))
    );
    stack.go();
    stack.told(&first, "COMPLETE").await;
    stack.told(&second, "COMPLETE").await;
    assert_eq!(stack.lines("rows"), ["8", "16"]);
    assert_eq!(stack.emulator.export_tasks(), 3);
    let timeline = stack.job(&second_id)["timeline"].clone();
    let events = timeline.as_array().expect("a timeline").iter();
    let exports = events.filter(|entry| entry["event"] == "exporting");
    assert_eq!(exports.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_is_gone_holds_its_jobs_and_fails_none() {
    let executor = "max_running = 1\nexport_ahead = 0";
    let mut stack = start_with(executor, Default::default(), &model("texts", UNTIL_GO, "")).await;
    let data = Dataset::generated(10, 300);
    let mut ids = Vec::new();
    for state in ["running", "queued"] {
        let (_, id) = stack.click_with(&data, "texts").await;
        stack.reached(&id, state).await;
        ids.push(id);
    }
    let (run, last) = stack.click_with(&data, "texts").await;
    stack.waits_for(&last, "waits until fewer jobs").await;
    let file = stack.folder.path().join("models.toml");
    let text = std::fs::read_to_string(&file).expect("the settings");
    stack.server.stop().await;
    let renamed = text
        .replace("executors.local", "executors.other")
        .replace("executor = \"local\"", "executor = \"other\"");
    std::fs::write(&file, renamed).expect("the folder is writable");
    stack.restart().await;
    stack
        .waits_for(&last, "executor local is not configured")
        .await;
    stack.server.stop().await;
    std::fs::write(&file, text).expect("the folder is writable");
    stack.restart().await;
    stack.go();
    stack.told(&run, "COMPLETE").await;
}
