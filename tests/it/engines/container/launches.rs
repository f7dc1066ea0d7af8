//! One launch is one container, which is started once.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use trainhook::{
    config,
    executor::{CancelOutcome, Executor, Found, Launch, Registry, SubmitError},
    job::{Handle, Phase},
};

use crate::support::{
    attempts::{Attempt, PROGRAM},
    docker::{Docker, IMAGE},
    stack::wait_until,
};

const SERVER: &str = "a server of these tests";

/// The executor of a file with this one.
fn executor(docker: &Docker) -> Arc<dyn Executor> {
    let text = docker.executor(&format!("image = \"{IMAGE}\"\npull = \"never\""));
    let mut parsed = config::parse(&text, Path::new("/tmp/models.toml"));
    let built = Registry::default().build(&mut parsed.executors, |_| Arc::default());
    built
        .expect("a table without mistakes")
        .remove("docker")
        .expect("it is there")
}

fn launch(attempt: &Attempt) -> Launch {
    let dir = attempt.dir();
    Launch {
        id: attempt.request.launch_id,
        server_id: SERVER.to_owned(),
        argv: vec![
            PROGRAM.to_owned(),
            "supervise".to_owned(),
            "--job-dir".to_owned(),
            dir.path().display().to_string(),
        ],
        env: BTreeMap::new(),
        attempt_dir: dir.path().to_owned(),
        workdir: "/".into(),
        mirror: None,
        resources: attempt.request.resources.clone(),
        devices: Vec::new(),
        run_timeout: None,
        cancel_grace: Duration::from_secs(1),
        settings: serde_json::Map::new(),
    }
}

fn attempt(script: &str) -> Attempt {
    Attempt::of_script(script).with(|request| request.workdir = "/".into())
}

async fn phase(executor: &dyn Executor, handle: &Handle) -> Phase {
    let looks = executor.observe(std::slice::from_ref(handle)).await;
    looks
        .into_iter()
        .next()
        .expect("one answer")
        .expect("an answer")
        .phase
}

async fn wait_for_end(executor: &dyn Executor, handle: &Handle) {
    while !matches!(phase(executor, handle).await, Phase::Exited(_)) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Takes the container away when the test ends, however it ends.
struct Remover<'a>(&'a Docker, String);

impl Drop for Remover<'_> {
    fn drop(&mut self) {
        self.0.remove(&self.1);
    }
}

fn inspect(docker: &Docker, name: &str, format: &str) -> String {
    docker.client(&["inspect", "--format", format, name])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_has_ended_is_never_started_again() {
    let Some(docker) = Docker::shared("a container that has ended") else {
        return;
    };
    let attempt = attempt("echo run >> $TRAINHOOK_OUT_DIR/runs; exit 4");
    let (executor, launch) = (executor(&docker), launch(&attempt));
    let name = launch.id.to_string();
    let _remover = Remover(&docker, name.clone());
    let handle = executor.submit(&launch).await.expect("a handle");
    wait_for_end(&*executor, &handle).await;
    let started = inspect(&docker, &name, "{{.State.StartedAt}}");
    assert_eq!(executor.submit(&launch).await, Ok(handle.clone()));
    assert_eq!(
        executor.find(&launch).await,
        Ok(Found::Attempts(vec![handle.clone()]))
    );
    assert!(
        matches!(phase(&*executor, &handle).await, Phase::Exited(exit) if exit.code == Some(4))
    );
    assert_eq!(inspect(&docker, &name, "{{.State.StartedAt}}"), started);
    let runs = std::fs::read_to_string(attempt.dir().out().join("runs")).expect("it ran");
    assert_eq!(runs, "run\n");
    assert_eq!(
        executor.cancel(&handle, Duration::ZERO).await,
        Ok(CancelOutcome::AlreadyEnded)
    );
    assert_eq!(executor.cleanup(&handle).await, Ok(()));
    assert_eq!(executor.cleanup(&handle).await, Ok(()));
    assert_eq!(phase(&*executor, &handle).await, Phase::Gone);
    assert_eq!(executor.find(&launch).await, Ok(Found::Absent));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_submits_at_once_make_one_container_that_runs_once() {
    let Some(docker) = Docker::shared("ten submits at once") else {
        return;
    };
    let attempt = attempt("echo run >> $TRAINHOOK_OUT_DIR/runs; sleep 1");
    let (executor, launch) = (executor(&docker), launch(&attempt));
    let name = launch.id.to_string();
    let _remover = Remover(&docker, name.clone());
    let submits = (0..10).map(|_| executor.submit(&launch));
    let submits = futures_util::future::join_all(submits).await;
    let handles: Vec<&Handle> = submits.iter().flatten().collect();
    let handle = handles.first().expect("at least one of them is told");
    assert!(handles.iter().all(|other| other == handle), "{submits:?}");
    assert_eq!(
        docker.containers(&format!("trainhook.launch={name}")),
        std::slice::from_ref(&name)
    );
    wait_for_end(&*executor, handle).await;
    let runs = std::fs::read_to_string(attempt.dir().out().join("runs")).expect("it ran");
    assert_eq!(runs, "run\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cut_off_submit_left_is_removed_by_find_and_started_by_submit() {
    let Some(docker) = Docker::shared("a submit that was cut off") else {
        return;
    };
    let attempt = attempt("true");
    let (executor, launch) = (executor(&docker), launch(&attempt));
    let name = launch.id.to_string();
    let _remover = Remover(&docker, name.clone());
    let labels = [
        format!("trainhook.server={SERVER}"),
        format!("trainhook.launch={name}"),
    ];
    let dir = attempt.dir();
    let mount = format!("{0}:{0}", dir.path().display());
    let program = format!("{PROGRAM}:/opt/trainhook/trainhook:ro");
    let supervisor = dir.path().display().to_string();
    let create = [
        "create",
        "--name",
        &name,
        "--network",
        "none",
        "--label",
        &labels[0],
        "--label",
        &labels[1],
        "--volume",
        &mount,
        "--volume",
        &program,
        IMAGE,
        "/opt/trainhook/trainhook",
        "supervise",
        "--job-dir",
        &supervisor,
    ];
    docker.client(&create);
    assert_eq!(executor.find(&launch).await, Ok(Found::Absent));
    assert!(docker.containers(&labels[1]).is_empty());
    let container = docker.client(&create);
    let handle = executor.submit(&launch).await.expect("a handle");
    assert_eq!(
        handle.data["container"],
        container.as_str(),
        "the one that was there"
    );
    wait_for_end(&*executor, &handle).await;
    assert_eq!(
        dir.read_exit().expect("readable").expect("a record").code,
        Some(0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_container_of_that_name_is_left_alone() {
    let Some(docker) = Docker::shared("a stranger's container") else {
        return;
    };
    let attempt = attempt("true");
    let (executor, launch) = (executor(&docker), launch(&attempt));
    let name = launch.id.to_string();
    let _remover = Remover(&docker, name.clone());
    let label = format!("trainhook.launch={name}");
    docker.client(&[
        "create",
        "--name",
        &name,
        "--network",
        "none",
        "--label",
        &label,
        IMAGE,
        "true",
    ]);
    let refused = executor.submit(&launch).await;
    assert!(
        matches!(&refused, Err(SubmitError::Rejected(why)) if why.contains("has not made")),
        "{refused:?}"
    );
    assert!(executor.find(&launch).await.is_err());
    assert_eq!(inspect(&docker, &name, "{{.State.Status}}"), "created");
    // Not even a handle that names it makes it ours.
    let data = serde_json::json!({
        "launch": name, "container": inspect(&docker, &name, "{{.Id}}"), "server": SERVER, "attempt_dir": "/tmp",
    });
    let handle = Handle {
        launch_id: launch.id,
        version: 1,
        data,
        place: None,
    };
    assert_eq!(phase(&*executor, &handle).await, Phase::Gone);
    assert_eq!(executor.cleanup(&handle).await, Ok(()));
    assert_eq!(inspect(&docker, &name, "{{.State.Status}}"), "created");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_in_the_job_directory_holds_across_the_containers_wall() {
    let Some(docker) = Docker::shared("the lock across the container's wall") else {
        return;
    };
    let attempt = attempt("echo ready > $TRAINHOOK_OUT_DIR/ready; sleep 600");
    let (executor, launch) = (executor(&docker), launch(&attempt));
    let name = launch.id.to_string();
    let _remover = Remover(&docker, name.clone());
    let dir = attempt.dir();
    let handle = executor.submit(&launch).await.expect("a handle");
    wait_until("its start", || {
        dir.out().join("ready").exists().then_some(())
    })
    .await;
    assert!(dir.is_locked().expect("readable"));
    // Ours is not allowed in while it lives, and its number means nothing here.
    let holder = dir.read_holder().expect("readable").expect("a holder");
    assert_ne!(holder.pid_namespace, trainhook::process::pid_namespace());
    assert_eq!(holder.boot_id, trainhook::process::boot_id());
    assert!(dir.take_lock().expect("lockable").is_none());
    docker.client(&["kill", &name]);
    wait_for_end(&*executor, &handle).await;
    assert!(!dir.is_locked().expect("readable"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_found_runs_where_its_image_says() {
    let Some(docker) = Docker::shared("a workdir of an image that is found again") else {
        return;
    };
    let attempt = attempt("sleep 600");
    let settings = serde_json::json!({"workdir": "/etc"});
    let launch = Launch {
        // It claims nothing, as if it were slow to begin.
        argv: vec![PROGRAM.to_owned(), "--version".to_owned()],
        settings: settings.as_object().cloned().expect("an object"),
        ..launch(&attempt)
    };
    let executor = executor(&docker);
    let _remover = Remover(&docker, launch.id.to_string());
    executor.submit(&launch).await.expect("a handle");
    for is_submitted in [false, true] {
        // The server that comes back writes the request anew.
        let dir = attempt.dir();
        match is_submitted {
            true => drop(executor.submit(&launch).await.expect("a handle")),
            false => drop(executor.find(&launch).await.expect("an answer")),
        }
        let request = dir.read_request().expect("a request");
        assert_eq!(request.workdir, Path::new("/etc"));
    }
}
