//! How jobs on Ray wait, and how they end.

use std::fs;

use trainhook::emulator::Dataset;

use crate::support::{
    ray::{Ray, wait_for_state},
    stack::{UNTIL_GO, job_id, model, trainhook_in, wait_until},
};

/// The program travels by a package of Ray's own, data and predictions over HTTP.
#[tokio::test(flavor = "multi_thread")]
async fn the_digits_are_trained_on_ray_without_shared_files() {
    let Some(ray) = Ray::shared("the digits on Ray").await else {
        return;
    };
    let digits = format!(
        "[models.digits]\nexecutor = \"local\"\ncommand = [\"python3\", \"train.py\"]\nworkdir = \"{}/examples/digits\"\n\
         files = [\"train.py\"]\nexport = {{ files = true }}\nparams = {{ epochs = 12, learning_rate = 0.3 }}\n\
         resources = {{ gpus = 1, cpus = 1, memory = \"500MB\" }}\nray = {{ metadata = {{ team = \"vision\" }} }}\n",
        env!("CARGO_MANIFEST_DIR")
    );
    let stack = ray.stack_at(&ray.address, "", &digits).await;
    let run = stack.run_with(&Dataset::digits());
    let id = job_id(&stack.click(&run, "digits").await);
    let told = stack.told(&run, "COMPLETE").await;
    let accuracy = told
        .last()
        .and_then(|entry| entry.metadata.as_ref()?.get("accuracy").cloned());
    let accuracy: f64 = accuracy
        .and_then(|text| text.as_str()?.parse().ok())
        .unwrap_or_else(|| panic!("{told:?}"));
    let arrived = stack.emulator.predictions(&run).expect("a run");
    let counted = arrived.features["digit"].accuracy.expect("a share");
    assert!((accuracy - counted).abs() < 0.0005, "{accuracy} {counted}");
    assert_eq!(stack.job(&id)["job"]["state"], "succeeded");
    ray.wait_for_jobs(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_gpus_says_so() {
    let Some(ray) = Ray::shared("a job that waits for GPUs on Ray").await else {
        return;
    };
    ray.take_gpus("others-who-end").await;
    let stack = ray
        .stack("", &model("job", "true", "resources = { gpus = 1 }"))
        .await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let waiting = wait_until("the reason", || {
        stack.job(&id)["job"]["waiting"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(waiting, "waits in Ray's queue for 1 GPU");
    assert_eq!(stack.job(&id)["job"]["state"], "pending");
    ray.stop("others-who-end").await;
    stack.told(&run, "COMPLETE").await;
}

/// Ray says that it has stopped such a job, and keeps it in its queue.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_is_cancelled_at_once_and_holds_no_slot() {
    let Some(ray) = Ray::shared("a waiting job on Ray that is cancelled").await else {
        return;
    };
    ray.take_gpus("others-who-wait").await;
    let models = model("big", "echo big >> runs", "resources = { gpus = 1 }")
        + &model("small", "echo small >> runs", "");
    let stack = ray.stack("", &models).await;
    let mut ids = Vec::new();
    // As many as there are slots.
    for _ in 0..4 {
        let run = stack.new_run();
        ids.push((job_id(&stack.click(&run, "big").await), run));
    }
    for (id, _) in &ids {
        wait_for_state(&stack, id, "pending").await;
    }
    for (id, run) in &ids {
        stack.trainhook(&["jobs", "cancel", id]);
        stack.told(run, "FAILED").await;
        assert_eq!(stack.job(id)["job"]["state"], "cancelled");
    }
    let run = stack.new_run();
    stack.click(&run, "small").await;
    stack.told(&run, "COMPLETE").await;
    let left = ray.jobs().await.len();
    assert!(left >= 5, "Ray still has what was cancelled: {left}");
    ray.stop("others-who-wait").await;
    ray.wait_for_jobs(1).await;
    assert_eq!(stack.lines("runs"), ["small"], "nothing else has begun");
}

/// Saves for longer than Ray's own 3 seconds when it is asked to stop.
const SAVES: &str = "trap 'sleep 5; echo saved >> saved; exit 1' TERM; echo ready >> ready; while :; do sleep 0.1; done";

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_cancelled_has_its_whole_grace() {
    let Some(ray) = Ray::shared("a cancel on Ray").await else {
        return;
    };
    let stack = ray.stack("", &model("job", SAVES, "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("ready", 1).await;
    stack.trainhook(&["jobs", "cancel", &id]);
    stack.told(&run, "FAILED").await;
    assert_eq!(stack.job(&id)["job"]["state"], "cancelled");
    assert_eq!(stack.lines("saved"), ["saved"]);
    ray.wait_for_jobs(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_stops_in_ray_has_its_grace_and_is_not_tried_again() {
    let Some(ray) = Ray::shared("a job that somebody stops in Ray").await else {
        return;
    };
    let retry = "retry = { max = 2, backoff = \"10ms\" }";
    let stack = ray.stack("", &model("job", SAVES, retry)).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("ready", 1).await;
    let jobs = ray.jobs().await;
    ray.stop(&jobs[0]).await;
    stack.told(&run, "FAILED").await;
    let job = &stack.job(&id)["job"];
    assert_eq!(job["cause"], "job_error", "{job}");
    assert_eq!(stack.lines("saved"), ["saved"], "more than Ray's 3 seconds");
    assert_eq!(stack.lines("ready").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_by_rays_signal_is_told_as_stopped_there() {
    let Some(ray) = Ray::shared("a job that ends by Ray's signal").await else {
        return;
    };
    let retry = "retry = { max = 2, backoff = \"10ms\" }";
    let stack = ray.stack("", &model("job", UNTIL_GO, retry)).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    let jobs = ray.jobs().await;
    ray.stop(&jobs[0]).await;
    stack.told(&run, "FAILED").await;
    let job = &stack.job(&id)["job"];
    assert_eq!(job["cause"], "job_error", "{job}");
    let message = job["message"].as_str().unwrap_or_default();
    assert!(message.contains("stopped in Ray"), "{job}");
    assert_eq!(stack.lines("runs"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_timeout_ends_a_job_on_ray() {
    let Some(ray) = Ray::shared("a run_timeout on Ray").await else {
        return;
    };
    let settings = "run_timeout = \"1s\"\ncancel_grace = \"1s\"";
    let stack = ray.stack("", &model("job", UNTIL_GO, settings)).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "FAILED").await;
    assert_eq!(stack.job(&id)["job"]["cause"], "run_timeout");
    ray.wait_for_jobs(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_on_the_node_is_the_reason_people_read() {
    let Some(ray) = Ray::shared("a program that a node lacks").await else {
        return;
    };
    let more = "supervisor = \"path:/nowhere/trainhook\"\n";
    let models = model("job", "true", "retry = { max = 0 }");
    let stack = ray.stack_at(&ray.address, more, &models).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "FAILED").await;
    let job = &stack.job(&id)["job"];
    assert_eq!(job["cause"], "start_failed", "{job}");
    let message = job["message"].as_str().unwrap_or_default();
    assert!(message.contains("/nowhere/trainhook: not found"), "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ray_shows_no_secret() {
    let Some(ray) = Ray::shared("secrets of a job on Ray").await else {
        return;
    };
    let script = format!("echo $TOKEN >> got; {UNTIL_GO}");
    let models = model("job", &script, "env = { TOKEN = { file = \"token\" } }");
    let shared = format!(
        "[executors.local]\n{}{models}",
        ray.table("shared_files = true\nsupervisor = \"shared\"")
    );
    let secret = "a secret of the model";
    for stack in [
        ray.stack("", &models).await,
        crate::support::stack::Stack::start_with(&shared).await,
    ] {
        fs::write(stack.folder.path().join("token"), secret).expect("the folder is writable");
        let run = stack.new_run();
        let id = job_id(&stack.click(&run, "job").await);
        stack.wait_for_lines("runs", 1).await;
        assert_eq!(stack.lines("got"), [secret]);
        let listed = ray.list().await.to_string();
        assert!(
            listed.contains("trainhook_server") && !listed.contains(secret),
            "{listed}"
        );
        let attempt = stack.folder.path().join("jobs").join(&id).join("a1");
        assert!(
            !attempt.join(".ray-environment").exists(),
            "it was read, and is gone"
        );
        stack.go();
        stack.told(&run, "COMPLETE").await;
        ray.wait_for_jobs(0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_node_has_is_told_by_the_doctor_and_of_whoever_waits_for_it() {
    let Some(ray) = Ray::shared("a job on Ray that asks for more than there is").await else {
        return;
    };
    let models = model("job", "true", "resources = { gpus = 9 }");
    let stack = ray.stack("", &models).await;
    let lack = "9 GPUs on one node, and none has more than 2";
    // A head that has just begun does not tell yet.
    wait_until("the doctor's note", || {
        let output = trainhook_in(stack.folder.path(), &["doctor"]);
        let told = String::from_utf8(output.stdout).expect("text");
        let note = format!("note   model job on executor local: it asks for {lack}");
        told.contains(&note).then_some(())
    })
    .await;
    let id = job_id(&stack.click(&stack.new_run(), "job").await);
    wait_until("the reason", || {
        let waiting = stack.job(&id)["job"]["waiting"].clone();
        (waiting == format!("waits in Ray's queue for {lack}")).then_some(())
    })
    .await;
    stack.trainhook(&["jobs", "cancel", &id]);
    // A job that waits cannot be taken out of Ray's queue.
    ray.script(&["start"], &[]);
}
