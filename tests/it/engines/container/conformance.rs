//! The conformance kit on a real Docker Engine.

use crate::{
    engines::conformance::{conformance, names},
    support::docker::{Docker, IMAGE},
};

#[tokio::test(flavor = "multi_thread")]
async fn containers_keep_every_promise() {
    let Some(docker) = Docker::shared("the conformance kit on containers") else {
        return;
    };
    let table = docker.executor(&format!("image = \"{IMAGE}\"\npull = \"never\""));
    let table = table
        .replace("[executors.docker]\n", "")
        .replace("max_running = 4\n", "");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_trainhook"));
    let report = conformance(program, "", &table).await;
    assert_eq!(names(&report, "skip"), ["cancel_queued"], "{report}");
    assert!(names(&report, "pass").len() > 30, "{report}");
}
