//! Why a job has not begun, as people are told.

use super::Site;
use crate::support::{kubernetes::Fault, stack::wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn an_unschedulable_pod_is_told_as_the_waiting_reason() {
    let site = Site::start("true", "", "").await;
    site.cluster
        .no_node_takes("0/4 nodes are available: 4 Insufficient nvidia.com/gpu.");
    let (run, id) = site.click().await;
    site.waits_for(
        &id,
        "no node can take it: 0/4 nodes are available: 4 Insufficient nvidia.com/gpu.",
    )
    .await;
    assert_eq!(site.state(&id), "pending");
    site.cluster.nodes_take_pods();
    site.stack.told(&run, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_does_not_come_is_told() {
    let site = Site::start("true", "", "").await;
    site.cluster
        .no_image_comes("Back-off pulling image \"localhost/job:1\"");
    let (run, id) = site.click().await;
    site.waits_for(
        &id,
        "image localhost/job:1 does not come: Back-off pulling image",
    )
    .await;
    site.cluster.images_come();
    site.stack.told(&run, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_waited_for_wherever_it_is_met() {
    let site = Site::start("true", "", "").await;
    let quota = "jobs.batch is forbidden: exceeded quota: jobs, requested: count/jobs.batch=1";
    site.cluster.fail(
        "POST",
        "/jobs",
        1,
        Fault::Refused(403, "Forbidden", quota.to_owned()),
    );
    site.cluster
        .no_pod_is_made("pods \"x\" is forbidden: exceeded quota: gpus");
    let (run, id) = site.click().await;
    site.waits_for(&id, "exceeded quota: jobs").await;
    site.waits_for(
        &id,
        "it has no pod yet: pods \"x\" is forbidden: exceeded quota: gpus",
    )
    .await;
    site.cluster.pods_are_made();
    site.stack.told(&run, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_refuses_for_good_fails_with_its_words() {
    let site = Site::start("true", "", "").await;
    let words =
        "Job.batch \"x\" is invalid: spec.template.spec.containers[0].image: Required value";
    site.cluster.fail(
        "POST",
        "/jobs",
        1,
        Fault::Refused(422, "Invalid", words.to_owned()),
    );
    let (run, id) = site.click().await;
    let told = site.stack.told(&run, "FAILED").await;
    let message = told.last().and_then(|entry| entry.error_message.clone());
    assert!(message.is_some_and(|message| message.contains("Required value")));
    assert_eq!(site.stack.job(&id)["job"]["cause"], "rejected");
    site.wait_until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_api_is_asked_again() {
    let site = Site::start("true", "", "").await;
    let busy = |code, reason| Fault::Refused(code, reason, "try again later".to_owned());
    site.cluster
        .fail("POST", "/secrets", 1, busy(429, "TooManyRequests"));
    site.cluster
        .fail("POST", "/jobs", 1, busy(500, "InternalError"));
    let (run, _) = site.click().await;
    site.stack.told(&run, "COMPLETE").await;
    site.wait_until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_job_is_queued_until_its_queue_lets_it_begin() {
    let site = Site::start("true", "queue = \"gpus\"", "").await;
    let (run, id) = site.click().await;
    site.waits_for(&id, "it waits for its turn in queue gpus")
        .await;
    let launch = Site::launch(&id, 1);
    let job = site.cluster.object("jobs", &launch).expect("a Job");
    assert_eq!(
        job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"],
        "gpus"
    );
    assert!(site.cluster.names("pods").is_empty());
    site.cluster.suspend(&launch, false);
    site.stack.told(&run, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_job_that_is_cancelled_never_begins() {
    let site = Site::start("echo ran >> runs", "queue = \"gpus\"", "").await;
    let (run, id) = site.click().await;
    site.waits_for(&id, "queue gpus").await;
    site.stack.trainhook(&["jobs", "cancel", &id]);
    site.stack.told(&run, "FAILED").await;
    assert_eq!(site.state(&id), "cancelled");
    site.wait_until_empty().await;
    assert!(site.stack.lines("runs").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_jobs_are_one_question() {
    let site = Site::start("true", "queue = \"gpus\"", "max_queued = \"none\"").await;
    for _ in 0..4 {
        site.click().await;
    }
    wait_until("four Jobs", || {
        (site.cluster.names("jobs").len() == 4).then_some(())
    })
    .await;
    let before = site.cluster.requests().len();
    wait_until("more questions", || {
        (site.cluster.requests().len() > before + 20).then_some(())
    })
    .await;
    let asked = site.cluster.requests().split_off(before + 8);
    let by_name = asked
        .iter()
        .filter(|(_, path)| path.contains("/jobs/"))
        .count();
    assert_eq!(by_name, 0, "{asked:?}");
}
