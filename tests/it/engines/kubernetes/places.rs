//! A kubeconfig that leads to another cluster than it did.

use std::{fs, path::Path};

use super::{Site, submits::Alone};
use crate::{
    engines::{build, places::refuses},
    support::{
        kubernetes::{Cluster, Fault},
        stack::UNTIL_GO,
    },
};

const POD: &str = "supervisor = \"image:x\"\nimage = \"x\"\n";

impl Site {
    /// Has the executor point to where another file leads, from the next start on.
    async fn point_to(&mut self, kubeconfig: &Path) {
        self.stack.server.kill();
        let path = self.stack.folder.path().join("models.toml");
        let text = fs::read_to_string(&path).expect("the settings");
        let line = |line: &str| match line.starts_with("kubeconfig") {
            true => format!("kubeconfig = {kubeconfig:?}"),
            false => line.to_owned(),
        };
        let lines: Vec<String> = text.lines().map(line).collect();
        fs::write(&path, lines.join("\n") + "\n").expect("the folder is writable");
        self.stack.restart().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_known_by_its_oldest_namespace_whatever_its_address() {
    let alone = Alone::start("").await;
    let handle = alone.submit("exec sleep 600").await;
    let at = |path: &Path| {
        let table = format!("{POD}kubeconfig = {path:?}");
        build("kubernetes", Path::new("/"), &table)
    };
    let moved = at(&alone.cluster.other_kubeconfig());
    let seen = moved.observe(std::slice::from_ref(&handle)).await;
    assert!(matches!(seen.as_slice(), [Ok(_)]), "{seen:?}");
    let other = Cluster::start().await;
    refuses(
        &*at(&other.kubeconfig()),
        &handle,
        ["namespace train of http://", "points to"],
    )
    .await;
    let asked = other.requests();
    assert!(asked.iter().all(|(method, _)| method == "GET"), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_does_not_tell_who_it_is_is_known_by_its_address() {
    let alone = Alone::start("").await;
    alone.cluster.forbid(&["get namespaces"]);
    let handle = alone.submit("exec sleep 600").await;
    let place = handle.place.clone().expect("a place");
    assert_eq!(place.id, None);
    alone.observe(&handle).await;
    let table = format!("{POD}kubeconfig = {:?}", alone.cluster.other_kubeconfig());
    let moved = build("kubernetes", Path::new("/"), &table);
    refuses(&*moved, &handle, [&place.address, "http://localhost:"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_on_another_cluster_is_held_until_its_executor_points_back() {
    let mut site = Site::start("echo ran >> runs", "", "queue_timeout = \"1s\"").await;
    let other = Cluster::start().await;
    site.cluster.no_node_takes("0/1 nodes are available");
    let (run, id) = site.click().await;
    site.wait_for_state(&id, "pending").await;
    site.point_to(&other.kubeconfig()).await;
    site.waits_for(&id, "point it back, or cancel the job")
        .await;
    // Its time to wait is over by then.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(site.state(&id), "pending");
    assert_eq!(other.names("jobs"), [""; 0], "nothing is started anew");
    site.cluster.nodes_take_pods();
    site.stack.wait_for_lines("runs", 1).await;
    let back = site.cluster.kubeconfig();
    site.point_to(&back).await;
    site.stack.told(&run, "COMPLETE").await;
    assert_eq!(site.stack.lines("runs"), ["ran"]);
    site.wait_until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_on_another_cluster_can_be_cancelled() {
    let mut site = Site::start(UNTIL_GO, "", "").await;
    let other = Cluster::start().await;
    site.cluster.no_node_takes("0/1 nodes are available");
    let (run, id) = site.click().await;
    site.wait_for_state(&id, "pending").await;
    site.point_to(&other.kubeconfig()).await;
    site.waits_for(&id, "point it back, or cancel the job")
        .await;
    site.stack.trainhook(&["jobs", "cancel", &id]);
    site.stack.told(&run, "FAILED").await;
    assert_eq!(site.state(&id), "cancelled");
    // What is left of it there goes when it can.
    assert_eq!(site.cluster.names("jobs"), [Site::launch(&id, 1)]);
    let back = site.cluster.kubeconfig();
    site.point_to(&back).await;
    site.wait_until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_runs_on_another_cluster_is_followed_by_what_its_supervisor_tells() {
    let mut site = Site::start(UNTIL_GO, "", "").await;
    let other = Cluster::start().await;
    let (run, id) = site.click().await;
    site.stack.wait_for_lines("runs", 1).await;
    site.wait_for_state(&id, "running").await;
    site.point_to(&other.kubeconfig()).await;
    site.waits_for(&id, "point it back, or cancel the job")
        .await;
    assert_eq!(site.state(&id), "running");
    site.stack.go();
    site.stack.told(&run, "COMPLETE").await;
    assert_eq!(site.stack.lines("runs"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_whose_submit_was_cut_off_is_not_sent_elsewhere() {
    let mut site = Site::start("echo ran >> runs", "", "").await;
    let other = Cluster::start().await;
    site.cluster.no_node_takes("0/1 nodes are available");
    site.cluster.fail("POST", "/jobs", 1, Fault::LostAnswer);
    site.cluster.fail("GET", "/jobs", 1, Fault::Hang);
    let (run, id) = site.click().await;
    site.waits_for(&id, "was lost").await;
    site.point_to(&other.kubeconfig()).await;
    site.waits_for(&id, "may have been started on").await;
    assert_eq!(site.state(&id), "submitting");
    assert_eq!(other.names("jobs"), [""; 0]);
    site.cluster.nodes_take_pods();
    let back = site.cluster.kubeconfig();
    site.point_to(&back).await;
    site.stack.told(&run, "COMPLETE").await;
    assert_eq!(site.stack.lines("runs"), ["ran"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_that_reached_nobody_goes_to_whom_the_executor_points_next() {
    let mut site = Site::start("echo ran >> runs", "", "").await;
    let mut gone = Cluster::start().await;
    gone.leave().await;
    let kubeconfig = gone.kubeconfig();
    site.point_to(&kubeconfig).await;
    let (run, id) = site.click().await;
    site.waits_for(&id, "cannot be reached").await;
    let back = site.cluster.kubeconfig();
    site.point_to(&back).await;
    site.stack.told(&run, "COMPLETE").await;
    assert_eq!(site.stack.lines("runs"), ["ran"]);
}
