//! kill -9 on the server, and on the engine itself.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use super::{UNTIL_GO, gate::Gate};
use crate::support::{
    attempts::PROGRAM,
    docker::{Containers, Docker, IMAGE, in_container},
    stack::{statuses, wait_until},
};

fn go(containers: &Containers, id: &str) {
    let attempt = containers
        .stack
        .folder
        .path()
        .join("jobs")
        .join(id)
        .join("a1");
    fs::write(attempt.join("out/go"), "").expect("the folder is writable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_again_and_again_starts_the_container_once() {
    let Some(docker) = Docker::shared("kills of the server around a container") else {
        return;
    };
    let mut containers = Containers::start(docker, UNTIL_GO, "").await;
    let (run, id) = containers.click("job").await;
    // Before the container is made, between its making and its start, while it comes up, and when it runs.
    for delay in [0, 5, 10, 20, 40, 60, 80, 120, 160, 240, 400] {
        tokio::time::sleep(Duration::from_millis(delay)).await;
        containers.stack.server.kill();
        containers.stack.restart().await;
    }
    assert_eq!(containers.wait_for_file(&id, 1, "out/runs").await, "1\n");
    let label = format!("trainhook.launch={}", Containers::launch(&id, 1));
    assert_eq!(containers.docker.containers(&label).len(), 1);
    go(&containers, &id);
    let timeline = containers.stack.told(&run, "COMPLETE").await;
    assert_eq!(statuses(&timeline).last(), Some(&"COMPLETE"));
    assert_eq!(
        containers.file(&id, 1, "out/runs").expect("it ran"),
        "1\n",
        "one run of the command"
    );
    containers.wait_until_removed(&id, 1).await;
}

/// The server dies when the engine has got this request, and its answer is on its way.
async fn dies_while_it_submits(docker: Docker, request: &'static str) {
    let folder = tempfile::tempdir().expect("a folder for the socket");
    let socket = folder.path().join("engine.sock");
    let engine = docker.host.trim_start_matches("unix://").to_owned();
    let gate = Gate::open(&socket, Path::new(&engine), request);
    let executor = docker.executor(&format!("image = \"{IMAGE}\"\npull = \"never\""));
    let executor = executor.replace(&engine, &socket.display().to_string());
    let models = in_container("job", UNTIL_GO, "");
    let mut containers = Containers::start_with(docker, &(executor + &models)).await;
    let (run, id) = containers.click("job").await;
    gate.met().await;
    assert_eq!(containers.stack.job(&id)["job"]["state"], "submitting");
    containers.stack.server.kill();
    gate.release();
    containers.stack.restart().await;
    assert_eq!(containers.wait_for_file(&id, 1, "out/runs").await, "1\n");
    go(&containers, &id);
    containers.stack.told(&run, "COMPLETE").await;
    assert_eq!(containers.file(&id, 1, "out/runs").expect("it ran"), "1\n");
    containers.wait_until_removed(&id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_while_its_container_is_made_starts_it_once() {
    if let Some(docker) = Docker::shared("a server that dies while it makes a container") {
        dies_while_it_submits(docker, "/containers/create?").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_while_its_container_is_started_starts_it_once() {
    if let Some(docker) = Docker::shared("a server that dies while it starts a container") {
        dies_while_it_submits(docker, "/start HTTP").await;
    }
}

/// The supervisor is let in late, so that each state lasts until it is seen.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_while_a_container_comes_up_or_runs_follows_it() {
    let Some(docker) = Docker::shared("a server that dies while a container comes up") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder for the program");
    let (place, begin) = (folder.path().display(), folder.path().join("begin"));
    fs::copy(PROGRAM, folder.path().join("trainhook")).expect("room for a copy");
    let script = format!(
        "#!/bin/sh\nwhile [ ! -e {place}/begin ]; do sleep 0.05; done\nexec {place}/trainhook \"$@\"\n"
    );
    let late = folder.path().join("late");
    fs::write(&late, script).expect("the folder is writable");
    fs::set_permissions(&late, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let executor = docker.executor(&format!(
        "image = \"{IMAGE}\"\npull = \"never\"\nprogram = {late:?}\nmounts = [\"{place}:{place}:ro\"]"
    ));
    let models = in_container("job", UNTIL_GO, "");
    let mut containers = Containers::start_with(docker, &(executor + &models)).await;
    let (run, id) = containers.click("job").await;
    for state in ["pending", "running"] {
        let is_there = || (containers.stack.job(&id)["job"]["state"] == state).then_some(());
        wait_until(state, is_there).await;
        containers.stack.server.kill();
        containers.stack.restart().await;
        fs::write(&begin, "").expect("the folder is writable");
    }
    go(&containers, &id);
    containers.stack.told(&run, "COMPLETE").await;
    assert_eq!(containers.file(&id, 1, "out/runs").expect("it ran"), "1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_ends_while_no_server_runs_keeps_its_outcome() {
    let Some(docker) = Docker::shared("a container that ends without a server") else {
        return;
    };
    let script = format!("{UNTIL_GO}; echo too little data >&2; exit 4");
    let mut containers = Containers::start(docker, &script, "").await;
    let (run, id) = containers.click("job").await;
    containers.wait_for_file(&id, 1, "out/runs").await;
    containers.stack.server.kill();
    go(&containers, &id);
    wait_until("the exit record", || containers.file(&id, 1, "exit.json")).await;
    containers.stack.restart().await;
    let timeline = containers.stack.told(&run, "FAILED").await;
    let message = timeline
        .last()
        .and_then(|entry| entry.error_message.clone())
        .expect("a message");
    assert!(
        message.starts_with("too little data (exit code 4)"),
        "{message}"
    );
    containers.wait_until_removed(&id, 1).await;
}

/// Kills the engine under a running job, and starts it again.
async fn restart_under(docker: Docker, options: &[&str]) -> (Containers, String, String) {
    let containers = Containers::start(docker, UNTIL_GO, "retry = { max = 0 }").await;
    let (run, id) = containers.click("job").await;
    containers.wait_for_file(&id, 1, "out/runs").await;
    wait_until("the state running", || {
        (containers.stack.job(&id)["job"]["state"] == "running").then_some(())
    })
    .await;
    containers.docker.kill();
    // A server that starts meanwhile finds no engine, and ends no job for that.
    let mut containers = containers;
    containers.stack.server.kill();
    containers.stack.restart().await;
    assert_eq!(containers.stack.job(&id)["job"]["state"], "running");
    containers.docker.start(options);
    (containers, run, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_outlives_the_crash_of_an_engine_that_keeps_containers_alive() {
    let options = ["--live-restore"];
    let Some(docker) = Docker::own("the crash of an engine with live-restore", &options) else {
        return;
    };
    let (containers, run, id) = restart_under(docker, &options).await;
    go(&containers, &id);
    containers.stack.told(&run, "COMPLETE").await;
    assert_eq!(containers.file(&id, 1, "out/runs").expect("it ran"), "1\n");
    containers.wait_until_removed(&id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_crash_of_an_engine_that_ends_its_containers_is_told_as_it_was() {
    let Some(docker) = Docker::own("the crash of an engine", &[]) else {
        return;
    };
    let (containers, run, id) = restart_under(docker, &[]).await;
    containers.stack.told(&run, "FAILED").await;
    let job = &containers.stack.job(&id)["job"];
    assert!(
        ["lost", "preempted"].contains(&job["cause"].as_str().expect("a cause")),
        "{job}"
    );
    assert_eq!(containers.file(&id, 1, "out/runs").expect("it ran"), "1\n");
    containers.wait_until_removed(&id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_for_an_engine_that_is_away() {
    let Some(docker) = Docker::own("an engine that is away", &[]) else {
        return;
    };
    docker.kill();
    let executor = docker.executor(&format!("image = \"{IMAGE}\"\npull = \"never\""));
    let containers =
        Containers::start_with(docker, &(executor + &in_container("job", "true", ""))).await;
    let (run, id) = containers.click("job").await;
    let waits = || {
        let job = &containers.stack.job(&id)["job"];
        job["waiting"]
            .as_str()
            .is_some_and(|why| why.contains("cannot be reached"))
            .then_some(())
    };
    wait_until("why it waits", waits).await;
    containers.docker.start(&[]);
    containers.stack.told(&run, "COMPLETE").await;
}
