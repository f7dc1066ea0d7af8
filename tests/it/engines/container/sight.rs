//! What a container sees, and what is seen of it.

use std::fs;

use crate::support::docker::{Containers, Docker, IMAGE, in_container};

use super::UNTIL_GO;

#[tokio::test(flavor = "multi_thread")]
async fn variables_are_in_the_command_and_not_in_what_the_engine_shows() {
    let Some(docker) = Docker::shared("variables of a container") else {
        return;
    };
    let script = "echo \"$TOKEN and $PLAIN\" > $TRAINHOOK_OUT_DIR/env; while [ ! -e $TRAINHOOK_OUT_DIR/go ]; do sleep 0.05; done";
    let secret = tempfile::NamedTempFile::new().expect("a file");
    fs::write(secret.path(), "hunter2 of the weights").expect("writable");
    let env = format!(
        "env = {{ TOKEN = {{ file = {:?} }}, PLAIN = \"plain words\" }}",
        secret.path()
    );
    let containers = Containers::start(docker, script, &env).await;
    let (run, id) = containers.click("job").await;
    let seen = containers.wait_for_file(&id, 1, "out/env").await;
    assert_eq!(seen, "hunter2 of the weights and plain words\n");
    let shown = containers
        .docker
        .client(&["inspect", &Containers::launch(&id, 1)]);
    assert!(
        !shown.contains("hunter2") && !shown.contains("plain words"),
        "{shown}"
    );
    fs::write(
        containers
            .stack
            .folder
            .path()
            .join("jobs")
            .join(&id)
            .join("a1/out/go"),
        "",
    )
    .expect("writable");
    containers.stack.told(&run, "COMPLETE").await;
    let files = containers.docker.client(&["ps", "--all", "--no-trunc"]);
    assert!(!files.contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_sees_its_attempt_and_its_workdir_and_nothing_of_the_servers() {
    if let Some(docker) = Docker::shared("what a container sees") {
        sees_nothing_of_the_servers(docker).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_of_podman_sees_no_more() {
    if let Some(podman) = Docker::podman("what a container of podman sees") {
        sees_nothing_of_the_servers(podman).await;
    }
}

async fn sees_nothing_of_the_servers(docker: Docker) {
    let script = "(ls -A $W/state; ls -A $W/jobs; ls -A $TRAINHOOK_JOB_DIR/..; ls -d /work /root/.ssh; \
         touch $W/mine && echo 'the workdir can be written'; touch $TRAINHOOK_DATA_DIR/mine && echo 'data can be written'; \
         cat $W/models.toml | head -n 1; cat $TRAINHOOK_JOB_DIR/webhook.json | wc -l) \
         > $TRAINHOOK_OUT_DIR/sight 2>/dev/null; true";
    let containers = Containers::start(docker, &format!("W=$PWD; {script}"), "").await;
    // A job before it, of which it must not see anything.
    let (run, _) = containers.click("job").await;
    containers.stack.told(&run, "COMPLETE").await;
    let (run, id) = containers.click("job").await;
    containers.stack.told(&run, "COMPLETE").await;
    let seen = containers
        .file(&id, 1, "out/sight")
        .expect("it looked around");
    let seen: Vec<&str> = seen.lines().collect();
    assert_eq!(
        seen,
        [id.as_str(), "a1", "data", "webhook.json", "[server]", "0"],
        "{seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_may_run_as_another_user() {
    let Some(docker) = Docker::shared("a container of another user") else {
        return;
    };
    let executor = docker.executor(&format!(
        "image = \"{IMAGE}\"\nuser = \"1234:567\"\npull = \"never\""
    ));
    let model = in_container(
        "job",
        &format!(
            "id > $TRAINHOOK_OUT_DIR/id; cat $TRAINHOOK_REQUEST_FILE $TRAINHOOK_JOB_DIR/webhook.json > /dev/null && ls $TRAINHOOK_DATA_DIR || exit 7; {UNTIL_GO}"
        ),
        "workdir = \"/\"",
    );
    let containers = Containers::start_with(docker, &(executor + &model)).await;
    let (run, id) = containers.click("job").await;
    containers.wait_for_file(&id, 1, "out/runs").await;
    let seen = containers.wait_for_file(&id, 1, "out/id").await;
    assert!(seen.starts_with("uid=1234 gid=567"), "{seen}");
    // The wish to stop reaches it, too.
    containers.stack.trainhook(&["jobs", "cancel", &id]);
    containers.stack.told(&run, "FAILED").await;
    let record = containers.file(&id, 1, "exit.json").expect("a record");
    assert!(record.contains("\"asked_to_stop\": true"), "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_models_own_table_is_heeded() {
    let Some(docker) = Docker::shared("a model's table for containers") else {
        return;
    };
    let executor = docker.executor("pull = \"never\"");
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("weights"), "many numbers\n").expect("writable");
    let script = "(pwd; echo $MARK; cat /weights/weights; hostname; df /dev/shm | tail -n 1) > $TRAINHOOK_OUT_DIR/seen 2>&1; \
         grep -c 'workdir\": \"/tmp\"' $TRAINHOOK_REQUEST_FILE >> $TRAINHOOK_OUT_DIR/seen; touch /weights/mine";
    let table = format!(
        "[models.job.container]\nimage = \"{IMAGE}\"\nworkdir = \"/tmp\"\nshm_size = \"128MiB\"\nmounts = [\"{}:/weights:ro\"]\n\
         env = {{ MARK = \"seen by all\" }}\nextra = {{ Hostname = \"trainer\" }}",
        folder.path().display()
    );
    let containers =
        Containers::start_with(docker, &(executor + &in_container("job", script, &table))).await;
    let (run, id) = containers.click("job").await;
    containers.stack.told(&run, "FAILED").await;
    assert!(
        !folder.path().join("mine").exists(),
        "it is to be read only"
    );
    let seen = containers
        .file(&id, 1, "out/seen")
        .expect("it looked around");
    let seen: Vec<&str> = seen.lines().collect();
    assert_eq!(
        seen[..4],
        ["/tmp", "seen by all", "many numbers", "trainer"],
        "{seen:?}"
    );
    assert!(seen[4].contains("131072"), "{seen:?}");
    assert_eq!(seen[5], "1");
}
