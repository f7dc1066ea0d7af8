//! How jobs in containers end.

use std::fs;

use trainhook::emulator::Dataset;

use crate::support::{
    docker::{Containers, Docker, IMAGE},
    stack::{settings, statuses, workspace},
};

/// Ignores SIGTERM, and so does a child in a session of its own.
const STUBBORN: &str = "trap '' TERM; setsid sh -c \"trap '' TERM; while :; do sleep 0.05; done\" & \
     echo ready > $TRAINHOOK_OUT_DIR/ready; while :; do sleep 0.05; done";

async fn last_message(containers: &Containers, run: &str) -> String {
    let timeline = containers.stack.told(run, "FAILED").await;
    assert_eq!(statuses(&timeline).last(), Some(&"FAILED"));
    let last = timeline
        .last()
        .and_then(|entry| entry.error_message.clone());
    last.expect("a message")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digits_are_trained_in_a_container() {
    let Some(docker) = Docker::shared("the digits in a container") else {
        return;
    };
    let workdir = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/digits");
    let executor = docker.executor(&format!("image = \"{IMAGE}\""));
    let model = format!(
        "[models.digits]\nexecutor = \"docker\"\ncommand = [\"python3\", \"train.py\"]\nworkdir = {workdir:?}\n\
         export = {{ files = true }}\nparams = {{ epochs = 3 }}\nresources = {{ cpus = 1, memory = \"512MB\" }}\n"
    );
    let containers = Containers::start_with(docker, &(executor + &model)).await;
    let (run, id) = containers.click_with("digits", &Dataset::digits()).await;
    let timeline = containers.stack.told(&run, "COMPLETE").await;
    assert!(
        statuses(&timeline).contains(&"TRAINING_MODEL"),
        "{timeline:?}"
    );
    let arrived = containers.stack.emulator.predictions(&run);
    assert_eq!(arrived.expect("a run").predictions, 500);
    let metrics = containers
        .file(&id, 1, "out/metrics.json")
        .expect("metrics");
    let metrics: serde_json::Value = serde_json::from_str(&metrics).expect("JSON");
    assert!(
        metrics["accuracy"].as_f64().expect("a number") > 0.8,
        "{metrics}"
    );
    containers.wait_until_removed(&id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_ignores_sigterm_is_killed_after_the_grace() {
    let Some(docker) = Docker::shared("a stubborn container") else {
        return;
    };
    let containers = Containers::start(docker, STUBBORN, "cancel_grace = \"300ms\"").await;
    let (run, id) = containers.click("job").await;
    containers.wait_for_file(&id, 1, "out/ready").await;
    containers.stack.trainhook(&["jobs", "cancel", &id]);
    let message = last_message(&containers, &run).await;
    assert!(message.starts_with("cancelled by "), "{message}");
    let job = &containers.stack.job(&id)["job"];
    assert_eq!(job["state"], "cancelled");
    let record = containers.file(&id, 1, "exit.json").expect("a record");
    assert!(
        record.contains("\"signal\": 9"),
        "the supervisor has seen it end: {record}"
    );
    containers.wait_until_removed(&id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_runs_too_long_is_ended() {
    let Some(docker) = Docker::shared("a container's run_timeout") else {
        return;
    };
    let containers = Containers::start(docker, "sleep 600", "run_timeout = \"500ms\"").await;
    let (run, id) = containers.click("job").await;
    let message = last_message(&containers, &run).await;
    assert!(
        message.starts_with("ran longer than its run_timeout"),
        "{message}"
    );
    assert_eq!(containers.stack.job(&id)["job"]["cause"], "run_timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_out_of_memory_is_told_apart() {
    let Some(docker) = Docker::shared("a container out of memory") else {
        return;
    };
    let script = "python3 -c 'x = bytearray(400 * 1024 * 1024); print(len(x))'; exit $?";
    let containers = Containers::start(docker, script, "resources = { memory = \"64MB\" }").await;
    let (run, id) = containers.click("job").await;
    let message = last_message(&containers, &run).await;
    let expected = "out of memory, having asked for 64.0 MB: ";
    assert!(message.starts_with(expected), "{message}");
    assert_eq!(containers.stack.job(&id)["job"]["cause"], "out_of_memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_come_through() {
    let Some(docker) = Docker::shared("a container's exit code") else {
        return;
    };
    let script = "echo 'too few labels' >&2; exit 3";
    let containers = Containers::start(docker, script, "").await;
    let (run, _) = containers.click("job").await;
    let message = last_message(&containers, &run).await;
    assert!(
        message.starts_with("too few labels (exit code 3)"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_somebody_else_stops_gets_another_attempt() {
    let Some(docker) = Docker::shared("a container stopped by a stranger") else {
        return;
    };
    let script = "[ $TRAINHOOK_ATTEMPT = 2 ] && exit 0; echo ready > $TRAINHOOK_OUT_DIR/ready; exec sleep 600";
    let containers =
        Containers::start(docker, script, "retry = { max = 1, backoff = \"20ms\" }").await;
    let (run, id) = containers.click("job").await;
    containers.wait_for_file(&id, 1, "out/ready").await;
    containers
        .docker
        .client(&["stop", &Containers::launch(&id, 1)]);
    containers.stack.told(&run, "COMPLETE").await;
    let job = containers.stack.job(&id);
    assert_eq!(job["job"]["attempt"], 2, "{job}");
    assert!(job.to_string().contains("preempted"), "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_killed_from_outside_is_lost_and_not_repeated() {
    let Some(docker) = Docker::shared("a container killed from outside") else {
        return;
    };
    let script = "echo ready >> $TRAINHOOK_OUT_DIR/ready; exec sleep 600";
    let containers =
        Containers::start(docker, script, "retry = { max = 1, backoff = \"20ms\" }").await;
    let (run, id) = containers.click("job").await;
    containers.wait_for_file(&id, 1, "out/ready").await;
    containers
        .docker
        .client(&["kill", &Containers::launch(&id, 1)]);
    last_message(&containers, &run).await;
    let job = &containers.stack.job(&id)["job"];
    assert_eq!(
        (&job["cause"], &job["attempt"]),
        (&"lost".into(), &1.into()),
        "{job}"
    );
    let folder = containers.stack.folder.path().join("jobs").join(&id);
    assert!(!fs::exists(folder.join("a2")).expect("readable"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_shares_no_files_with_the_server_trains_over_http() {
    let Some(docker) = Docker::shared("a container without shared files") else {
        return;
    };
    let executor = docker.executor(&format!("image = \"{IMAGE}\"\nshared_files = false"));
    let executor = executor.replace("network = \"none\"", "network = \"host\"");
    let workdir = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/digits");
    let model = format!(
        "[models.digits]\nexecutor = \"docker\"\ncommand = [\"python3\", \"train.py\"]\nworkdir = {workdir:?}\n\
         files = [\"train.py\"]\nexport = {{ files = true }}\nparams = {{ epochs = 3 }}\nenv = {{ A = \"b\" }}\n"
    );
    let file = |endpoint: &str| {
        let settings =
            settings().replace("[server]\n", "[server]\njobs_listen = \"127.0.0.1:0\"\n");
        settings + &workspace("main", "/", endpoint) + &executor + &model
    };
    let containers = Containers::start_whole(docker, file).await;
    let (run, id) = containers.click_with("digits", &Dataset::digits()).await;
    containers.stack.told(&run, "COMPLETE").await;
    let metrics = containers.file(&id, 1, "out/metrics.json");
    assert!(metrics.expect("metrics").contains("accuracy"));
    let arrived = containers.stack.emulator.predictions(&run);
    assert_eq!(arrived.expect("a run").predictions, 500);
    containers.wait_until_removed(&id, 1).await;
}
