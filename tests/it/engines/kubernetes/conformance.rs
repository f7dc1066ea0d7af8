//! The conformance kit on a cluster.

use std::path::Path;

use crate::{
    engines::conformance::{conformance, names},
    support::kubernetes::Cluster,
};

#[tokio::test(flavor = "multi_thread")]
async fn kubernetes_keeps_every_promise_over_http() {
    let cluster = Cluster::start().await;
    let program = Path::new(env!("CARGO_BIN_EXE_trainhook"));
    let server = "[server]\njobs_listen = \"127.0.0.1:0\"\n";
    let report = conformance(program, server, &cluster.table("")).await;
    assert_eq!(names(&report, "skip"), ["cancel_queued"], "{report}");
    assert!(names(&report, "pass").len() > 30, "{report}");
    for resource in ["jobs", "pods", "secrets"] {
        assert!(cluster.names(resource).is_empty(), "{resource} are left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubernetes_keeps_every_promise_with_shared_files() {
    let cluster = Cluster::start().await;
    let program = Path::new(env!("CARGO_BIN_EXE_trainhook"));
    let shared = "shared_files = true\nvolumes = { all = { persistentVolumeClaim = { claimName = \"all\" } } }\n\
         pod = { containers = [{ name = \"training\", volumeMounts = [{ name = \"all\", mountPath = \"/tmp\" }] }] }";
    let report = conformance(program, "", &cluster.table(shared)).await;
    assert!(names(&report, "pass").len() > 30, "{report}");
}
