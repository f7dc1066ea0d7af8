//! kill -9 on the server, and an API that goes away.

use std::time::Duration;

use super::Site;
use crate::support::{
    kubernetes::{Fault, NODE},
    stack::{UNTIL_GO, statuses},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_again_and_again_makes_one_job_that_runs_once() {
    let mut site = Site::start(UNTIL_GO, "", "").await;
    let (run, id) = site.click().await;
    // Before the Secret is made, between it and the Job, while the pod comes up, and when it runs.
    for delay in [0, 5, 10, 20, 40, 60, 80, 120, 160, 240, 400] {
        tokio::time::sleep(Duration::from_millis(delay)).await;
        site.stack.server.kill();
        site.stack.restart().await;
    }
    site.stack.wait_for_lines("runs", 1).await;
    assert_eq!(site.cluster.names("jobs"), [Site::launch(&id, 1)]);
    assert_eq!(site.cluster.names("pods").len(), 1);
    site.stack.go();
    let timeline = site.stack.told(&run, "COMPLETE").await;
    assert_eq!(statuses(&timeline).last(), Some(&"COMPLETE"));
    assert_eq!(site.stack.lines("runs"), ["1"], "one run of the command");
    site.wait_until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_while_it_submits_finds_the_job_again() {
    let mut site = Site::start(UNTIL_GO, "", "").await;
    site.cluster.fail("POST", "/jobs", 1, Fault::Hang);
    let (run, id) = site.click().await;
    site.wait_for_state(&id, "submitting").await;
    site.stack.server.kill();
    // And the answer to the next try is lost on its way.
    site.cluster.fail("POST", "/jobs", 1, Fault::LostAnswer);
    site.stack.restart().await;
    site.stack.wait_for_lines("runs", 1).await;
    site.stack.go();
    site.stack.told(&run, "COMPLETE").await;
    assert_eq!(site.stack.lines("runs"), ["1"]);
    site.wait_until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_while_a_job_waits_follows_it() {
    let mut site = Site::start("echo ran >> runs", "", "").await;
    site.cluster
        .no_node_takes("0/1 nodes are available: 1 Insufficient cpu.");
    let (run, id) = site.click().await;
    site.waits_for(&id, "Insufficient cpu").await;
    assert_eq!(site.state(&id), "pending");
    site.stack.server.kill();
    site.stack.restart().await;
    assert_eq!(site.state(&id), "pending");
    site.cluster.nodes_take_pods();
    site.stack.told(&run, "COMPLETE").await;
    assert_eq!(site.stack.lines("runs"), ["ran"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_while_no_server_runs_keeps_its_outcome() {
    let script = format!("{UNTIL_GO}; echo done >> runs; echo too little data >&2; exit 4");
    let mut site = Site::start(&script, "", "").await;
    let (run, _) = site.click().await;
    site.stack.wait_for_lines("runs", 1).await;
    site.stack.server.kill();
    site.stack.go();
    site.stack.wait_for_lines("runs", 2).await;
    site.stack.restart().await;
    let timeline = site.stack.told(&run, "FAILED").await;
    let message = timeline
        .last()
        .and_then(|entry| entry.error_message.clone());
    let message = message.expect("a message");
    assert!(
        message.starts_with("too little data (exit code 4)"),
        "{message}"
    );
    site.wait_until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_away_for_a_while_ends_no_job() {
    let mut site = Site::start(UNTIL_GO, "", "").await;
    let (run, id) = site.click().await;
    site.stack.wait_for_lines("runs", 1).await;
    site.wait_for_state(&id, "running").await;
    site.cluster.leave().await;
    // A job that begins meanwhile waits, and a server that starts meanwhile ends none.
    let (second, waiting) = site.click().await;
    site.waits_for(&waiting, "cannot be reached").await;
    site.stack.server.kill();
    site.stack.restart().await;
    assert_eq!(site.state(&id), "running");
    site.cluster.come_back().await;
    site.stack.go();
    site.stack.told(&run, "COMPLETE").await;
    site.stack.told(&second, "COMPLETE").await;
    assert_eq!(site.stack.lines("runs"), ["1", "1"]);
    site.wait_until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_hangs_holds_up_no_end() {
    let site = Site::start(UNTIL_GO, "", "").await;
    let (run, _) = site.click().await;
    site.stack.wait_for_lines("runs", 1).await;
    site.cluster.fail("GET", "/jobs", 1, Fault::Hang);
    site.cluster.fail(
        "GET",
        "/pods",
        1,
        Fault::Refused(429, "TooManyRequests", format!("{NODE} is busy")),
    );
    site.stack.go();
    site.stack.told(&run, "COMPLETE").await;
    site.wait_until_empty().await;
}
