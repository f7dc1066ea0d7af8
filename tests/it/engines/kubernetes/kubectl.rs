//! The real `kubectl` as a client: of what we plan, and of the API server that our tests believe.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::submits::Alone;
use crate::support::{kubernetes::Cluster, skip, stack::wait_until};

fn kubectl(cluster: &Cluster, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("kubectl")
        .args(arguments)
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("HOME", cluster.kubeconfig().parent().expect("a folder"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A command that reads nothing may have ended.
    let _unread = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_makes_what_we_plan_and_sees_what_we_make() {
    if Command::new("kubectl").arg("help").output().is_err() {
        skip("kubectl as a client: it is not installed");
        return;
    }
    let alone = Alone::start("").await;
    let (cluster, name) = (&alone.cluster, &alone.name);
    let plan = alone
        .executor
        .plan(&alone.launch("echo heard; exec sleep 600"))
        .await;
    let made = kubectl(
        cluster,
        &["create", "--validate=false", "-f", "-"],
        &plan.expect("a plan"),
    );
    assert_eq!(made, format!("job.batch/{name} created\n"));
    // Ours now: what it has made is what we would make.
    let handle = alone.submit("true").await;
    alone
        .wait_for(&handle, |phase| *phase == trainhook::job::Phase::Running)
        .await;
    let jobs = kubectl(cluster, &["get", "jobs", "-o", "name"], "");
    assert_eq!(jobs, format!("job.batch/{name}\n"));
    let selector = "trainhook.server=our-server";
    let pods = kubectl(cluster, &["get", "pods", "-o", "wide", "-l", selector], "");
    assert!(pods.contains(name.as_str()), "{pods}");
    let pods = kubectl(
        cluster,
        &[
            "get",
            "pods",
            "-o",
            "json",
            "-l",
            "trainhook.server=another",
        ],
        "",
    );
    let pods: Value = serde_json::from_str(&pods).expect("JSON");
    assert_eq!(pods["items"], serde_json::json!([]));
    let pods = kubectl(cluster, &["get", "pods", "-o", "json", "-l", selector], "");
    let pods: Value = serde_json::from_str(&pods).expect("JSON");
    let pod = pods["items"][0]["metadata"]["name"]
        .as_str()
        .expect("a pod");
    wait_until("its words", || {
        (kubectl(cluster, &["logs", pod], "") == "heard\n").then_some(())
    })
    .await;
    kubectl(cluster, &["delete", "job", name, "--wait=false"], "");
    wait_until("an empty cluster", || {
        cluster.names("pods").is_empty().then_some(())
    })
    .await;
    assert_eq!(
        alone.observe(&handle).await.phase,
        trainhook::job::Phase::Gone
    );
}
