//! kill -9 on whatever takes part, and what becomes of the run.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use serde_json::Value;
use trainhook::process::ProcessId;

use crate::support::{
    labelbox_door::signed,
    processes,
    script::write_program,
    server::ServerProcess,
    skip,
    stack::{SECRET, Stack, UNTIL_GO, job_id, model, settings, statuses, wait_until, workspace},
    tracer::{can_trace, traced_program},
};

fn attempt(stack: &Stack, id: &str) -> PathBuf {
    stack.folder.path().join("jobs").join(id).join("a1")
}

fn supervisor(stack: &Stack, id: &str) -> String {
    let lock = fs::read(attempt(stack, id).join("supervisor.lock")).expect("a supervisor runs");
    let holder: Value = serde_json::from_slice(&lock).expect("JSON");
    holder["pid"].to_string()
}

fn kill(pid: &str) {
    let killed = Command::new("kill").args(["-KILL", pid]).status();
    assert!(killed.expect("kill is there").success());
}

fn is_alive(pid: &str) -> bool {
    ProcessId::of(pid.parse().expect("a pid")).is_some_and(ProcessId::is_alive)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_again_and_again_starts_the_command_once() {
    let mut stack = Stack::start(&model("job", UNTIL_GO, "")).await;
    let run = stack.new_run();
    stack.click(&run, "job").await;
    // Each time a little later: before the submit, within it, after it.
    for delay in [0, 1, 2, 4, 8, 16] {
        tokio::time::sleep(Duration::from_millis(delay)).await;
        stack.server.kill();
        stack.restart().await;
    }
    stack.go();
    let timeline = stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"], "one run of the command");
    let finals = timeline
        .iter()
        .filter(|entry| entry.status == "COMPLETE")
        .count();
    assert!(finals >= 1 && statuses(&timeline).last() == Some(&"COMPLETE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_supervisor_takes_its_command_with_it_and_the_job_is_lost() {
    let script = "echo $$ >> pids; while :; do sleep 0.05; done";
    let stack = Stack::start(&model("job", script, "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let command = stack.wait_for_lines("pids", 1).await.remove(0);
    kill(&supervisor(&stack, &id));
    stack.told(&run, "FAILED").await;
    assert_eq!(stack.job(&id)["job"]["cause"], "lost");
    assert!(!is_alive(&command), "nothing is left of it");
    assert_eq!(
        stack.lines("pids").len(),
        1,
        "what it had done is unknown: no second attempt"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_comes_after_its_job_was_lost_is_shown_and_changes_nothing() {
    let stack = Stack::start(&model("job", UNTIL_GO, "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    kill(&supervisor(&stack, &id));
    stack.told(&run, "FAILED").await;
    assert_eq!(stack.job(&id)["job"].get("lateRecord"), None);
    let claim = fs::read(attempt(&stack, &id).join("claim.json")).expect("it was claimed");
    let claim: Value = serde_json::from_slice(&claim).expect("JSON");
    let record = serde_json::json!({
        "launch_id": claim["launch_id"], "instance": claim["instance"], "code": 0,
        "asked_to_stop": false, "run_timeout": false, "out_of_memory": false, "wants_retry": false,
        "started_at": "2026-01-01T00:00:00Z", "ended_at": "2026-01-01T00:00:01Z",
    });
    let text = record.to_string();
    fs::write(attempt(&stack, &id).join("exit.json"), text).expect("the folder is writable");
    let job = &stack.job(&id)["job"];
    assert_eq!(
        (&job["state"], &job["cause"]),
        (&"failed".into(), &"lost".into())
    );
    let shown = stack.trainhook(&["jobs", "show", &id]);
    assert!(shown.contains("its record: exit code 0"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_and_supervisor_killed_together_leave_nothing_behind() {
    // A child in a session of its own is bound neither to the command's life nor to its session.
    let script = "setsid sh -c 'echo $$ >> pids; while :; do sleep 0.05; done' & \
         echo $$ >> pids; while :; do sleep 0.05; done";
    let mut stack = Stack::start(&model("job", script, "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let pids = stack.wait_for_lines("pids", 2).await;
    let supervisor = supervisor(&stack, &id);
    stack.server.kill();
    kill(&supervisor);
    stack.restart().await;
    stack.told(&run, "FAILED").await;
    assert!(!pids.iter().any(|pid| is_alive(pid)), "{pids:?}");
    assert_eq!(stack.lines("pids").len(), 2, "no second attempt");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_command_fails_with_the_signals_number() {
    let stack = Stack::start(&model(
        "job",
        "echo $$ >> pids; while :; do sleep 0.05; done",
        "",
    ))
    .await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let command = stack.wait_for_lines("pids", 1).await.remove(0);
    kill(&command);
    let timeline = stack.told(&run, "FAILED").await;
    let message = timeline
        .last()
        .and_then(|entry| entry.error_message.clone())
        .unwrap_or_default();
    assert!(message.contains("signal 9"), "{message}");
    assert_eq!(stack.job(&id)["job"]["state"], "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_outlives_the_server() {
    let executor = "[executors.local]\nkind = \"local\"\nmax_running = 1\n";
    let script = "echo $TRAINHOOK_MODEL_RUN_ID >> runs; while [ ! -e go ]; do sleep 0.02; done";
    let mut stack = Stack::start_with(&(executor.to_owned() + &model("job", script, ""))).await;
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(stack.click_in_turn("job").await.0);
    }
    stack.server.kill();
    stack.restart().await;
    stack.go();
    for run in &runs {
        stack.told(run, "COMPLETE").await;
    }
    assert_eq!(
        stack.lines("runs"),
        runs,
        "each once, in the order of the clicks"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_while_no_server_runs_keeps_its_own_outcome() {
    let script = "echo run >> runs; while [ ! -e go ]; do sleep 0.02; done; echo too little data >&2; exit 4";
    let mut stack = Stack::start(&model("job", script, "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    stack.server.kill();
    stack.go();
    let record = attempt(&stack, &id).join("exit.json");
    wait_until("the exit record", || record.exists().then_some(())).await;
    stack.restart().await;
    let timeline = stack.told(&run, "FAILED").await;
    let message = timeline
        .last()
        .and_then(|entry| entry.error_message.clone())
        .unwrap_or_default();
    assert!(message.contains("too little data"), "{message}");
    assert_eq!(stack.lines("runs").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_replaced_while_its_server_runs_still_starts_jobs() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let program = folder.path().join("trainhook");
    fs::copy(env!("CARGO_BIN_EXE_trainhook"), &program).expect("room for a copy");
    let models = format!(
        "[executors.local]\nkind = \"local\"\n{}",
        model("job", "echo run >> runs", "")
    );
    let file =
        |endpoint: &str| format!("{}{}{models}", settings(), workspace("main", "/", endpoint));
    let stack = Stack::start_program(&program, file).await;
    let other = folder.path().join("other");
    fs::write(&other, "not the program that runs").expect("it is writable");
    fs::rename(&other, &program).expect("it is replaced as an update does");
    let run = stack.new_run();
    stack.click(&run, "job").await;
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["run"]);
}

/// Makes every start of the server one in a new container: with its own processes, name and machine id.
const IN_A_CONTAINER: &str = "unshare --pid --fork --kill-child --mount-proc --uts";

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_with_a_container_is_tried_again_in_the_next_one() {
    let allowed = Command::new("sh")
        .args(["-c", &format!("{IN_A_CONTAINER} true")])
        .status();
    if !allowed.is_ok_and(|status| status.success()) {
        return skip("containers: no namespace can be made here");
    }
    let folder = tempfile::tempdir().expect("a folder for the test");
    let script = format!(
        "exec {IN_A_CONTAINER} sh -c 'mount --bind /dev/null /etc/machine-id 2>/dev/null; \
         hostname box-$(date +%N); exec {} \"$@\"' sh \"$@\"\n",
        env!("CARGO_BIN_EXE_trainhook")
    );
    let program = write_program(folder.path(), "boxed", &script);
    let executor = "[executors.local]\nkind = \"local\"\nmax_running = 1\n";
    let models = model("job", UNTIL_GO, "retry = { max = 1, backoff = \"20ms\" }");
    let file = |endpoint: &str| settings() + &workspace("main", "/", endpoint) + executor + &models;
    let mut stack = Stack::start_program(&program, file).await;
    stack.server.logged("this is a container").await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    stack.server.kill();
    let jobs = stack.folder.path().join("jobs");
    wait_until("the end of all that was in it", || {
        processes::living_in(&jobs).is_empty().then_some(())
    })
    .await;
    stack.restart().await;
    stack.wait_for_lines("runs", 2).await;
    stack.go();
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1", "2"]);
    let timeline = stack.job(&id)["timeline"].to_string();
    assert!(timeline.contains("node_lost"), "{timeline}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_io_error_at_a_commit_ends_the_server_and_loses_nothing() {
    if !can_trace() {
        return skip("an I/O error at a commit: strace cannot trace here");
    }
    let programs = tempfile::tempdir().expect("a folder for the test");
    let traced = traced_program(programs.path());
    let mut stack = Stack::start(&model("job", "echo run >> runs", "")).await;
    stack.server.kill();
    // From the eighth time on the log of the store cannot be brought to the disk.
    let inject = "-e trace=fsync,fdatasync -P $PWD/state/trainhook.db-wal -e inject=fsync,fdatasync:error=EIO:when=8+";
    fs::write(stack.folder.path().join("inject"), inject).expect("the folder is writable");
    stack.server = ServerProcess::start(&traced, stack.folder.path()).await;
    let address = stack.server.info()["listen"]
        .as_str()
        .expect("an address")
        .to_owned();
    let (mut yes, mut unanswered) = (Vec::new(), Vec::new());
    while unanswered.is_empty() {
        let run = stack.new_run();
        match try_click(&address, &run).await {
            Some(200) => yes.push(run),
            _ => unanswered.push(run),
        }
        assert!(yes.len() < 100, "the log goes to the disk all the time");
    }
    let ended = wait_until("the server's end", || {
        stack.server.child.try_wait().expect("a child")
    });
    assert_eq!(ended.await.code(), Some(70), "{}", stack.server.log_text());
    stack.restart().await;
    for run in &yes {
        stack.told(run, "COMPLETE").await;
    }
    // Whether it was stored or not: clicked again it is trained, and once.
    for run in &unanswered {
        stack.click(run, "job").await;
        stack.told(run, "COMPLETE").await;
    }
    assert_eq!(stack.lines("runs").len(), yes.len() + unanswered.len());
}

/// The status of the answer to a click; none if none came.
async fn try_click(address: &str, run: &str) -> Option<u16> {
    let body = format!(r#"{{"modelRunId":"{run}","modelType":"job"}}"#);
    let client = trainhook::outbound::client_builder()
        .build()
        .expect("a client");
    let post = client
        .post(format!("http://{address}/model_run"))
        .header("x-hub-signature", signed(SECRET, body.as_bytes()))
        .body(body);
    Some(post.send().await.ok()?.status().as_u16())
}
