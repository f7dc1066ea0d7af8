//! The conformance kit on a real Ray.

use std::path::Path;

use crate::{
    engines::conformance::{conformance, names},
    support::ray::{Ray, in_place},
};

/// There are fewer slots than the kit's jobs at once, so that some of them wait in Ray's own queue.
const SLOT: &str = "entrypoint_resources = { slot = 1 }\n";

async fn keeps_every_promise(server: &str, table: &str) {
    let program = Path::new(env!("CARGO_BIN_EXE_trainhook"));
    let table = table.replace("max_running = 4\n", "");
    let report = conformance(program, server, &table).await;
    assert_eq!(names(&report, "skip"), [""; 0], "{report}");
    assert!(names(&report, "pass").len() > 30, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ray_keeps_every_promise_without_shared_files() {
    let Some(ray) = Ray::shared("the conformance kit on Ray without shared files").await else {
        return;
    };
    let node = tempfile::tempdir().expect("a folder for the nodes");
    let work_dir = format!("work_dir = \"{}\"\n", node.path().display());
    let table = ray.table(&(in_place() + &work_dir + SLOT));
    keeps_every_promise("[server]\njobs_listen = \"127.0.0.1:0\"\n", &table).await;
    ray.wait_for_jobs(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ray_keeps_every_promise_with_shared_files() {
    let Some(ray) = Ray::shared("the conformance kit on Ray with shared files").await else {
        return;
    };
    let table = ray.table(&format!(
        "shared_files = true\nsupervisor = \"shared\"\n{SLOT}"
    ));
    keeps_every_promise("", &table).await;
    ray.wait_for_jobs(0).await;
}
