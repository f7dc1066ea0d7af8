//! How pods end, and whose fault that was.

use super::{Site, submits::Alone};
use crate::support::{
    kubernetes::Fate,
    stack::{UNTIL_GO, wait_until},
};
use trainhook::job::{Cause, Exit, Phase};

async fn exit_of(script: &str, fate: Option<Fate>) -> (Exit, Option<String>) {
    let alone = Alone::start("").await;
    let handle = alone.submit(script).await;
    if let Some(fate) = fate {
        alone
            .wait_for(&handle, |phase| *phase == Phase::Running)
            .await;
        alone.cluster.strike(&alone.name, fate);
    }
    let seen = alone
        .wait_for(&handle, |phase| matches!(phase, Phase::Exited(_)))
        .await;
    let Phase::Exited(exit) = seen.phase else {
        unreachable!("as waited for")
    };
    (exit, seen.reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_are_told() {
    assert_eq!(exit_of("exit 0", None).await.0.code, Some(0));
    let (exit, _) = exit_of("exit 3", None).await;
    assert_eq!((exit.code, exit.cause), (Some(3), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_out_of_memory_is_told_apart_from_one_that_was_killed() {
    let (exit, reason) = exit_of("exec sleep 600", Some(Fate::OutOfMemory)).await;
    assert_eq!(
        (exit.code, exit.cause),
        (Some(137), Some(Cause::OutOfMemory))
    );
    assert!(reason.expect("a reason").contains("memory"));
    let (exit, _) = exit_of("exec sleep 600", Some(Fate::Killed)).await;
    assert_eq!((exit.code, exit.cause), (Some(137), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evicted_pod_was_preempted() {
    let (exit, reason) = exit_of("exec sleep 600", Some(Fate::Evicted)).await;
    assert_eq!(exit.cause, Some(Cause::Preempted));
    assert!(reason.expect("a reason").contains("low on resource"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_whose_node_is_lost_or_that_is_deleted_has_lost_its_node() {
    let (exit, reason) = exit_of("exec sleep 600", Some(Fate::NodeLost)).await;
    assert_eq!(exit.cause, Some(Cause::NodeLost));
    assert!(reason.expect("a reason").contains("node-1"));
    let (exit, reason) = exit_of("exec sleep 600", Some(Fate::Deleted)).await;
    assert_eq!(exit.cause, Some(Cause::Preempted));
    assert_eq!(reason.as_deref(), Some("its pod was deleted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eviction_begins_a_new_attempt() {
    let site = Site::start(UNTIL_GO, "", "retry = { max = 1, backoff = \"1s\" }").await;
    let (run, id) = site.click().await;
    site.stack.wait_for_lines("runs", 1).await;
    site.wait_for_state(&id, "running").await;
    site.cluster.strike(&Site::launch(&id, 1), Fate::Evicted);
    assert_eq!(site.stack.wait_for_lines("runs", 2).await, ["1", "2"]);
    let told = serde_json::to_string(&site.stack.job(&id)).expect("JSON");
    assert!(told.contains("preempted"), "{told}");
    site.stack.go();
    site.stack.told(&run, "COMPLETE").await;
    site.wait_until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_queue_takes_its_place_away_was_preempted() {
    let site = Site::start(
        UNTIL_GO,
        "queue = \"gpus\"",
        "retry = { max = 1, backoff = \"1s\" }",
    )
    .await;
    let (run, id) = site.click().await;
    site.waits_for(&id, "queue gpus").await;
    let first = Site::launch(&id, 1);
    site.cluster.suspend(&first, false);
    site.stack.wait_for_lines("runs", 1).await;
    site.wait_for_state(&id, "running").await;
    site.cluster.suspend(&first, true);
    let second = Site::launch(&id, 2);
    let is_there = || site.cluster.object("jobs", &second).map(drop);
    wait_until("a second attempt", is_there).await;
    site.stack.go();
    site.cluster.suspend(&second, false);
    site.stack.told(&run, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_ends_well_and_leaves_nothing() {
    let script = "trap 'echo stopped >> runs; exit 0' TERM; echo began >> runs; while :; do sleep 0.05; done";
    let site = Site::start(script, "", "").await;
    let (run, id) = site.click().await;
    site.stack.wait_for_lines("runs", 1).await;
    site.stack.trainhook(&["jobs", "cancel", &id]);
    site.stack.told(&run, "FAILED").await;
    assert_eq!(site.stack.lines("runs"), ["began", "stopped"]);
    assert_eq!(site.state(&id), "cancelled");
    site.wait_until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_be_brought_is_told_with_its_last_words() {
    let more =
        "pod = { initContainers = [{ name = \"trainhook\", args = [\"no-such-command\"] }] }";
    let site = Site::start("true", more, "retry = { max = 0 }").await;
    let (run, id) = site.click().await;
    site.stack.told(&run, "FAILED").await;
    let job = &site.stack.job(&id)["job"];
    assert_eq!(job["cause"], "start_failed");
    let message = job["message"].as_str().expect("a message");
    assert!(
        message.contains("init container") && message.contains("no-such-command"),
        "{message}"
    );
}
