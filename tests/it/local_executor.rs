//! The local executor: spawn, find, look, end, also by a server that did not spawn.

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use tokio::{sync::Notify, time::timeout};
use trainhook::{
    config::Secret,
    executor::{
        CancelOutcome, Executor, Found, Launch, SubmitError,
        local::{LocalExecutor, gpus_from},
    },
    job::{Cause, Handle, Observation, Phase},
    job_dir::AttemptDir,
};

use crate::support::attempts::{Attempt, LIMIT, PROGRAM, lives, pids};

const GRACE: Duration = Duration::from_secs(30);

fn executor_with(gpus: Vec<u32>) -> (LocalExecutor, Arc<Notify>) {
    let wake = Arc::new(Notify::new());
    let executor = LocalExecutor::new(gpus, wake.clone()).with_program(PROGRAM.into());
    (executor, wake)
}

fn launch(attempt: &Attempt) -> Launch {
    let dir = attempt.dir();
    let words = ["trainhook", "supervise", "--job-dir"].map(str::to_owned);
    let argv = words.into_iter().chain([dir.path().display().to_string()]);
    Launch {
        id: attempt.request.launch_id,
        argv: argv.collect(),
        env: BTreeMap::new(),
        attempt_dir: dir.path().to_owned(),
        workdir: attempt.request.workdir.clone(),
        mirror: None,
        resources: attempt.request.resources.clone(),
        devices: attempt.request.devices.clone(),
        run_timeout: None,
        cancel_grace: GRACE,
        server_id: String::new(),
        settings: serde_json::Map::new(),
    }
}

async fn look(executor: &LocalExecutor, handle: &Handle) -> Observation {
    let mut looks = executor.observe(std::slice::from_ref(handle)).await;
    looks.pop().expect("one answer").expect("an answer")
}

async fn wait_until(executor: &LocalExecutor, handle: &Handle, phase: Phase) {
    let reached = async {
        while look(executor, handle).await.phase != phase {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LIMIT, reached).await.expect("the phase");
}

/// Waits on notifications alone until the attempt is gone.
async fn wait_for_wake(executor: &LocalExecutor, handle: &Handle, wake: &Notify) {
    let woken = async {
        while look(executor, handle).await.phase != Phase::Gone {
            wake.notified().await;
        }
    };
    timeout(LIMIT, woken).await.expect("a notification");
}

fn log(dir: &AttemptDir) -> String {
    String::from_utf8(dir.log_tail(65536).expect("a log").bytes).expect("text")
}

#[tokio::test]
async fn a_launch_runs_and_its_end_wakes_the_server() {
    let attempt = Attempt::of_script("exit 5");
    let (executor, wake) = executor_with(Vec::new());
    let handle = executor.submit(&launch(&attempt)).await.expect("a handle");
    wait_for_wake(&executor, &handle, &wake).await;
    assert!(!look(&executor, &handle).await.leftovers);
    let record = attempt
        .dir()
        .read_exit()
        .expect("readable")
        .expect("a record");
    assert_eq!(record.code, Some(5));
    assert_eq!(
        executor.cancel(&handle, GRACE).await,
        Ok(CancelOutcome::AlreadyEnded)
    );
    assert_eq!(executor.cleanup(&handle).await, Ok(()));
}

#[tokio::test]
async fn another_server_finds_it_watches_it_and_ends_it() {
    let attempt = Attempt::of_script("echo $$ > $W/pids; exec sleep 600");
    let launch = launch(&attempt);
    let (first, _) = executor_with(Vec::new());
    assert_eq!(first.find(&launch).await, Ok(Found::Unknowable));
    let handle = first.submit(&launch).await.expect("a handle");
    let command = pids(&attempt.file("pids"), 1)[0];
    let (second, wake) = executor_with(Vec::new());
    assert_eq!(
        second.find(&launch).await,
        Ok(Found::Attempts(vec![handle.clone()]))
    );
    assert_eq!(look(&second, &handle).await.phase, Phase::Running);
    assert_eq!(
        second.cancel(&handle, GRACE).await,
        Ok(CancelOutcome::Requested)
    );
    assert!(second.cancel(&handle, GRACE).await.is_ok());
    wait_for_wake(&second, &handle, &wake).await;
    assert!(!lives(command));
    let record = attempt
        .dir()
        .read_exit()
        .expect("readable")
        .expect("a record");
    assert!(record.asked_to_stop);
}

#[tokio::test]
async fn a_repeated_submit_runs_nothing_twice() {
    let attempt =
        Attempt::of_script("echo ran >> $W/runs; while ! [ -e $W/go ]; do sleep 0.01; done");
    let launch = launch(&attempt);
    let (executor, _) = executor_with(Vec::new());
    let handle = executor.submit(&launch).await.expect("a handle");
    let again = executor.submit(&launch).await.expect("a handle");
    wait_until(&executor, &handle, Phase::Running).await;
    wait_until(&executor, &again, Phase::Running).await;
    fs::write(attempt.file("go"), "").expect("a file");
    wait_until(&executor, &handle, Phase::Gone).await;
    wait_until(&executor, &again, Phase::Gone).await;
    assert_eq!(
        fs::read_to_string(attempt.file("runs")).expect("runs"),
        "ran\n"
    );
}

#[tokio::test]
async fn a_fresh_submit_is_never_seen_as_gone_before_it_claimed() {
    let attempt = Attempt::of(&["sleep", "600"]);
    let (executor, _) = executor_with(Vec::new());
    let handle = executor.submit(&launch(&attempt)).await.expect("a handle");
    loop {
        match look(&executor, &handle).await.phase {
            Phase::Starting => {}
            Phase::Running => break,
            other => panic!("seen as {other:?}"),
        }
    }
    executor.cancel(&handle, GRACE).await.expect("an answer");
    wait_until(&executor, &handle, Phase::Gone).await;
}

#[tokio::test]
async fn cleanup_ends_what_a_killed_supervisor_left() {
    let attempt = Attempt::of_script(
        r#"setsid sh -c 'echo $$ >> '$W'/pids; sleep 600; :' &
        env -i sh -c 'echo $$ >> '$W'/pids; sleep 600; :' &
        while [ $(wc -l < $W/pids) -lt 2 ]; do sleep 0.01; done
        echo $$ >> $W/pids; sleep 600"#,
    );
    let (executor, _) = executor_with(Vec::new());
    let handle = executor.submit(&launch(&attempt)).await.expect("a handle");
    let pids = pids(&attempt.file("pids"), 3);
    assert!(
        executor.cleanup(&handle).await.is_err(),
        "its supervisor lives"
    );
    let supervisor = handle.data["pid"].as_u64().expect("a pid");
    let supervisor = rustix::process::Pid::from_raw(i32::try_from(supervisor).expect("a pid"));
    rustix::process::kill_process(supervisor.expect("a pid"), rustix::process::Signal::KILL)
        .expect("a living supervisor");
    wait_until(&executor, &handle, Phase::Gone).await;
    assert!(look(&executor, &handle).await.leftovers);
    executor.cleanup(&handle).await.expect("all gone");
    assert!(!look(&executor, &handle).await.leftovers);
    assert!(pids.iter().all(|pid| !lives(*pid)), "still there: {pids:?}");
}

#[tokio::test]
async fn other_machines_are_unknown_and_other_boots_are_lost() {
    let attempt = Attempt::of(&["true"]);
    let (executor, _) = executor_with(Vec::new());
    let handle = executor.submit(&launch(&attempt)).await.expect("a handle");
    wait_until(&executor, &handle, Phase::Gone).await;
    let changed = |key: &str| {
        let mut handle = handle.clone();
        handle.data[key] = "another".into();
        handle
    };
    let mut far = changed("machine_id");
    far.data["boot_id"] = "another".into();
    let far = executor.observe(&[far, handle.clone()]).await;
    assert!(
        far[0]
            .as_ref()
            .is_err_and(|error| error.0.contains("another machine"))
    );
    assert!(far[1].is_ok());
    // Whoever is in no container sees into all of them.
    let of_the_machine = trainhook::process::pid_namespace() == "pid:[4026531836]";
    let elsewhere = executor.observe(&[changed("pid_namespace")]).await;
    assert_eq!(elsewhere[0].is_ok(), of_the_machine);
    match look(&executor, &changed("boot_id")).await.phase {
        Phase::Exited(exit) => assert_eq!(exit.cause, Some(Cause::NodeLost)),
        other => panic!("seen as {other:?}"),
    }
    // The same boot is the same machine, whatever a container calls itself.
    assert_eq!(
        look(&executor, &changed("machine_id")).await.phase,
        Phase::Gone
    );
}

#[tokio::test]
async fn the_command_sees_only_what_it_should() {
    let attempt = Attempt::of_script("env").with(|request| request.devices = vec![1, 3]);
    let (executor, wake) = executor_with(vec![0, 1, 2, 3]);
    let mut launch = launch(&attempt);
    launch.env.insert("TOKEN".to_owned(), Secret::new("given"));
    let handle = executor.submit(&launch).await.expect("a handle");
    wait_for_wake(&executor, &handle, &wake).await;
    let log = log(&attempt.dir());
    let names: Vec<&str> = log
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    assert!(log.contains("CUDA_VISIBLE_DEVICES=1,3\n") && log.contains("TOKEN=given\n"));
    // Cargo sets it for this test; a server's own variables are as foreign to the command.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(!names.contains(&"CARGO_MANIFEST_DIR"), "{names:?}");
}

#[tokio::test]
async fn a_job_without_devices_sees_none_of_the_executors() {
    let attempt = Attempt::of_script("env");
    let (executor, wake) = executor_with(vec![0]);
    let handle = executor.submit(&launch(&attempt)).await.expect("a handle");
    wait_for_wake(&executor, &handle, &wake).await;
    assert!(log(&attempt.dir()).contains("CUDA_VISIBLE_DEVICES=\n"));
    assert_eq!(executor.devices(), Some(vec![0]));
    assert_eq!(executor.check().await, Ok("1 GPU: 0".to_owned()));
}

#[tokio::test]
async fn a_spawn_that_fails_may_be_tried_again() {
    let attempt = Attempt::of(&["true"]);
    let executor = LocalExecutor::new(Vec::new(), Arc::default()).with_program("/no/such".into());
    let outcome = executor.submit(&launch(&attempt)).await;
    assert!(
        matches!(outcome, Err(SubmitError::Transient(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_supervisor_that_fails_says_why_in_the_engine_log() {
    let attempt = Attempt::of(&["true"]);
    let (executor, wake) = executor_with(Vec::new());
    let launch = launch(&attempt);
    fs::write(attempt.dir().request(), "not json").expect("request.json");
    let handle = executor.submit(&launch).await.expect("a handle");
    wait_for_wake(&executor, &handle, &wake).await;
    let said = executor.engine_log(&handle).await.expect("a log");
    assert!(said.contains("cannot read request.json"), "{said}");
    assert_eq!(attempt.dir().read_claim().expect("readable"), None);
}

#[test]
fn the_gpu_setting_is_checked() {
    let list = |numbers: &[i64]| Some(toml::Value::from(numbers.to_vec()));
    assert_eq!(gpus_from(None), Ok(Vec::new()));
    assert_eq!(gpus_from(list(&[2, 0])), Ok(vec![2, 0]));
    assert!(gpus_from(list(&[0, 0])).is_err());
    assert!(gpus_from(list(&[-1])).is_err());
    assert!(gpus_from(Some("all".into())).is_err());
}
