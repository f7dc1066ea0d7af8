//! The conformance kit on a real Docker Engine, and on podman, which has Docker's API.

use std::path::Path;

use crate::{
    engines::conformance::{conformance, names},
    support::docker::{Docker, IMAGE},
};

async fn keeps_every_promise(engine: Docker) {
    let table = engine.executor(&format!("image = \"{IMAGE}\"\npull = \"never\""));
    let table = table
        .replace("[executors.docker]\n", "")
        .replace("max_running = 4\n", "");
    let program = Path::new(env!("CARGO_BIN_EXE_trainhook"));
    let report = conformance(program, "", &table).await;
    assert_eq!(names(&report, "skip"), ["cancel_queued"], "{report}");
    assert!(names(&report, "pass").len() > 30, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_keep_every_promise() {
    if let Some(docker) = Docker::shared("the conformance kit on containers") {
        keeps_every_promise(docker).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_of_podman_keep_every_promise() {
    if let Some(podman) = Docker::podman("the conformance kit on podman") {
        keeps_every_promise(podman).await;
    }
}
