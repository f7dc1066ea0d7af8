//! What Ray loses: the process beside a job, a node, memory.

use std::{fs, time::Duration};

use trainhook::process::{self, ProcessId, Signal};

use crate::support::{
    processes,
    ray::{Ray, actors},
    stack::{Stack, job_id, model, wait_until},
};

const TRIED_AGAIN: &str =
    "echo $TRAINHOOK_ATTEMPT >> runs; while [ $TRAINHOOK_ATTEMPT = 1 ]; do sleep 0.1; done";

/// Ray takes half a minute to see that a node is gone, and the heart must have been silent for two.
const LOSS_LIMIT: Duration = Duration::from_secs(240);

async fn has_ended(stack: &Stack, id: &str, cause: &str) {
    let words = format!("ended: {cause}");
    let deadline = tokio::time::Instant::now() + LOSS_LIMIT;
    while !stack.job(id).to_string().contains(&words) {
        let now = tokio::time::Instant::now();
        assert!(now < deadline, "waiting for {words}: {}", stack.job(id));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_process_in_ray_dies_is_stopped_whole_and_tried_again() {
    let Some(ray) = Ray::shared("the death of Ray's process beside a job").await else {
        return;
    };
    // A child in a session of its own is what outlives an end of the group.
    let script =
        format!("setsid sh -c 'echo $$ >> children; exec sleep 600' & {TRIED_AGAIN}; kill $!");
    let retry = "retry = { max = 1, backoff = \"10ms\" }";
    let stack = ray.stack("", &model("job", &script, retry)).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    let child = stack.wait_for_lines("children", 1).await[0].clone();
    let child = ProcessId::of(child.parse().expect("a pid")).expect("it lives");
    let [actor] = actors()[..] else {
        panic!("one job has one process in Ray");
    };
    processes::kill(ProcessId::of(actor).expect("it lives"));
    stack.told(&run, "COMPLETE").await;
    has_ended(&stack, &id, "infra").await;
    assert!(!child.is_alive(), "nothing of the first attempt is left");
    assert_eq!(stack.lines("runs"), ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_lost_is_told_apart_and_the_job_tried_again() {
    let Some(ray) = Ray::shared("a lost node of Ray's").await else {
        return;
    };
    ray.script(&["join"], &[]);
    let settings = "retry = { max = 1, backoff = \"10ms\" }\n\
                    ray = { entrypoint_resources = { spare = 1 } }";
    let stack = ray.stack("", &model("job", TRIED_AGAIN, settings)).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    // As in a power cut: whatever runs there for the job is gone with the node.
    let launch = format!("th-{}-a1", id.replace('-', ""));
    let supervisor = supervisor_of(&launch);
    process::kill(supervisor, Signal::STOP).expect("it is ours");
    ray.script(&["lose"], &[]);
    for actor in actors().into_iter().filter_map(ProcessId::of) {
        processes::kill(actor);
    }
    processes::kill(supervisor);
    has_ended(&stack, &id, "node_lost").await;
    ray.script(&["join"], &[]);
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1", "2"]);
}

fn supervisor_of(launch: &str) -> ProcessId {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_it = |path: &std::path::PathBuf| {
        let arguments = fs::read(path.join("cmdline")).unwrap_or_default();
        let words: Vec<_> = arguments.split(|byte| *byte == 0).collect();
        words.contains(&b"supervise".as_slice()) && words.contains(&launch.as_bytes())
    };
    let mut pids = processes
        .map(|process| process.path())
        .filter(is_it)
        .filter_map(|path| path.file_name()?.to_str()?.parse().ok());
    pids.find_map(ProcessId::of).expect("a supervisor")
}

/// Bytes in use on this machine, as Ray counts them.
fn memory(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").expect("Linux tells");
    let line = text.lines().find(|line| line.starts_with(name));
    let kilobytes = line.and_then(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.expect("a number") * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_rays_memory_monitor_ends_is_out_of_memory() {
    let Some(ray) = Ray::shared("Ray's memory monitor").await else {
        return;
    };
    let (total, free) = (memory("MemTotal"), memory("MemAvailable"));
    // It runs already, and its next one needs as much.
    let allowed = (total - free + 1_500_000_000) as f64 / total as f64;
    let threshold = format!("{allowed:.3}");
    let env = [
        ("RAY_memory_usage_threshold", threshold.as_str()),
        ("RAY_memory_monitor_refresh_ms", "100"),
    ];
    ray.script(&["start"], &env);
    let script = "echo $TRAINHOOK_ATTEMPT >> runs; exec python3 -c 'import time\n\
                  hoard = []\n\
                  while len(hoard) < 60: hoard.append(b\"x\" * 100000000); time.sleep(0.05)\n\
                  time.sleep(600)'";
    let retry = "retry = { max = 2, backoff = \"10ms\" }";
    let stack = ray.stack("", &model("job", script, retry)).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "FAILED").await;
    let job = stack.job(&id)["job"].clone();
    drop(stack);
    ray.script(&["start"], &[]);
    assert_eq!(job["cause"], "out_of_memory", "{job}");
    let message = job["message"].as_str().unwrap_or_default();
    assert!(message.contains("memory monitor"), "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_for_a_ray_that_is_away() {
    let Some(ray) = Ray::shared("a Ray that is away").await else {
        return;
    };
    ray.script(&["crash"], &[]);
    let stack = ray.stack("", &model("job", "true", "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let away = || {
        let job = &stack.job(&id)["job"];
        job["waiting"]
            .as_str()
            .is_some_and(|why| why.contains("Ray cannot be reached"))
            .then_some(())
    };
    wait_until("why it waits", away).await;
    ray.script(&["revive"], &[]);
    stack.told(&run, "COMPLETE").await;
}
