//! Images that are missing, come late, or cannot run this program.

use std::process::Command;

use crate::support::{
    docker::{BARE_IMAGE, Containers, Docker, IMAGE, in_container},
    stack::wait_until,
};

async fn failure(containers: &Containers) -> (serde_json::Value, String) {
    let (run, id) = containers.click("job").await;
    let timeline = containers.stack.told(&run, "FAILED").await;
    let message = timeline
        .last()
        .and_then(|entry| entry.error_message.clone());
    (
        containers.stack.job(&id)["job"].clone(),
        message.expect("a message"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_image_that_may_not_be_fetched_is_refused() {
    let Some(docker) = Docker::shared("a missing image") else {
        return;
    };
    let executor = docker.executor("image = \"localhost/nowhere:1\"\npull = \"never\"");
    let containers =
        Containers::start_with(docker, &(executor + &in_container("job", "true", ""))).await;
    let (job, message) = failure(&containers).await;
    assert_eq!(job["cause"], "rejected");
    assert!(
        message.contains("image localhost/nowhere:1 is not on the engine"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_for_an_image_whose_registry_is_away_and_says_so() {
    let Some(docker) = Docker::shared("an image whose registry is away") else {
        return;
    };
    let name = format!("localhost:1/late-{}:1", std::process::id());
    let executor = docker.executor(&format!("image = \"{name}\""));
    let containers =
        Containers::start_with(docker, &(executor + &in_container("job", "true", ""))).await;
    let (run, id) = containers.click("job").await;
    let waiting = || {
        let waiting = containers.stack.job(&id)["job"]["waiting"]
            .as_str()?
            .to_owned();
        waiting.contains("cannot be fetched").then_some(waiting)
    };
    let waiting = wait_until("why it waits", waiting).await;
    assert!(waiting.contains(&name), "{waiting}");
    containers.docker.client(&["tag", IMAGE, &name]);
    containers.stack.told(&run, "COMPLETE").await;
    containers.wait_until_removed(&id, 1).await;
    containers.docker.client(&["rmi", &name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_another_c_library_is_explained() {
    let Some(docker) = Docker::shared("an image of another C library") else {
        return;
    };
    let executor = docker.executor(&format!("image = \"{BARE_IMAGE}\"\npull = \"never\""));
    let retry = "retry = { max = 0 }";
    let containers =
        Containers::start_with(docker, &(executor + &in_container("job", "true", retry))).await;
    let (job, message) = failure(&containers).await;
    assert_eq!(job["cause"], "start_failed");
    assert!(message.contains("another C library"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_the_program_it_should_have_is_refused() {
    let Some(docker) = Docker::shared("an image without the program") else {
        return;
    };
    let executor = docker.executor(&format!(
        "image = \"{IMAGE}\"\nsupervisor = \"path:/opt/trainhook/trainhook\"\npull = \"never\""
    ));
    let containers =
        Containers::start_with(docker, &(executor + &in_container("job", "true", ""))).await;
    let (job, message) = failure(&containers).await;
    assert_eq!(job["cause"], "rejected");
    assert!(message.contains("put one into the image"), "{message}");
    let id = job["id"].as_str().expect("an id");
    assert!(
        containers
            .docker
            .containers(&format!("trainhook.launch={}", Containers::launch(id, 1)))
            .is_empty()
    );
}

/// What `trainhook doctor` says of the executor.
fn doctor(containers: &Containers) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_trainhook"))
        .arg("doctor")
        .current_dir(containers.stack.folder.path())
        .output();
    let text = String::from_utf8(output.expect("the program starts").stdout).expect("text");
    let line = text.lines().find(|line| line.contains("executor docker"));
    line.unwrap_or_else(|| panic!("nothing of the executor: {text}"))
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_tries_the_image_out() {
    for (image, words) in [
        (IMAGE, "supervisors run in image"),
        (BARE_IMAGE, "another C library"),
        ("localhost/nowhere:1", "has no image localhost/nowhere:1"),
    ] {
        let Some(docker) = Docker::shared("the doctor's look at containers") else {
            return;
        };
        let executor = docker.executor(&format!("image = \"{image}\"\npull = \"never\""));
        let containers =
            Containers::start_with(docker, &(executor + &in_container("job", "true", ""))).await;
        let said = doctor(&containers);
        assert!(said.contains(words), "{said}");
    }
}
