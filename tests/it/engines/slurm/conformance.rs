//! The conformance kit.

use std::path::Path;

use super::slurm;
use crate::engines::conformance::{conformance, names};

#[tokio::test(flavor = "multi_thread")]
async fn slurm_keeps_every_promise() {
    let Some(slurm) = slurm().await else { return };
    let program = Path::new(env!("CARGO_BIN_EXE_trainhook"));
    let report = conformance(program, "", &slurm.table("")).await;
    assert_eq!(names(&report, "skip"), [""; 0], "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slurm_keeps_every_promise_without_shared_files() {
    let Some(slurm) = slurm().await else { return };
    let program = Path::new(env!("CARGO_BIN_EXE_trainhook"));
    let node = tempfile::tempdir().expect("a folder for the nodes");
    let table = format!(
        "shared_files = false\nwork_dir = \"{}\"\nsupervisor = \"path:{}\"",
        node.path().display(),
        program.display()
    );
    let server = "[server]\njobs_listen = \"127.0.0.1:0\"\n";
    let report = conformance(program, server, &slurm.table(&table)).await;
    assert_eq!(names(&report, "skip"), [""; 0], "{report}");
}
