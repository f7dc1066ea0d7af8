//! The supervisor: one run for each attempt, ended wholly, recorded truthfully.

use std::{collections::BTreeMap, fs, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use trainhook::{
    job::Cause,
    job_dir::{AttemptDir, CancelRequest, Claim, ClaimOutcome, Claimant},
};

use crate::support::attempts::{Attempt, finish, lives, pids, start, supervisor, wait_for};

/// Each run of this script leaves one line.
const COUNTED: &str = "echo ran >> $W/runs";

fn runs(attempt: &Attempt) -> usize {
    fs::read_to_string(attempt.file("runs")).map_or(0, |text| text.lines().count())
}

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a pid");
    kill_process(pid, signal).expect("a living process");
}

fn wish_cancel(dir: &AttemptDir, grace: Duration) {
    let grace_ms = u64::try_from(grace.as_millis()).expect("a short grace");
    dir.request_cancel(&CancelRequest {
        grace_ms,
        reason: "test".to_owned(),
    })
    .expect("cancel.json");
}

#[test]
fn a_command_that_succeeds_leaves_code_0() {
    let attempt = Attempt::of(&["true"]);
    let (status, record) = attempt.run();
    assert_eq!(status.code(), Some(0));
    assert_eq!((record.code, record.cause()), (Some(0), None));
    assert_eq!(record.reason, None);
    assert_eq!(record.launch_id, attempt.request.launch_id);
}

#[test]
fn the_supervisor_exits_with_the_commands_code() {
    let (status, record) = Attempt::of_script("exit 7").run();
    assert_eq!(status.code(), Some(7));
    assert_eq!(
        (record.code, record.cause()),
        (Some(7), Some(Cause::JobError))
    );
}

#[test]
fn the_record_belongs_to_the_claim() {
    let attempt = Attempt::of(&["true"]);
    let (_, record) = attempt.run();
    let claim = attempt
        .dir()
        .read_claim()
        .expect("readable")
        .expect("a claim");
    let by = Claimant::Supervisor {
        instance: record.instance,
    };
    assert_eq!(claim.by, by);
}

#[test]
fn a_second_supervisor_runs_nothing() {
    let attempt = Attempt::of_script(COUNTED);
    attempt.run();
    let dir = attempt.dir();
    let first = dir.read_holder().expect("readable");
    assert_eq!(finish(start(&dir)).code(), Some(92));
    assert_eq!(runs(&attempt), 1);
    assert_eq!(dir.read_holder().expect("readable"), first);
}

#[test]
fn of_many_supervisors_at_once_one_runs_the_command() {
    let attempt = Attempt::of_script(COUNTED);
    let dir = attempt.dir();
    let all: Vec<_> = (0..6).map(|_| start(&dir)).collect();
    let codes: Vec<_> = all.into_iter().map(|one| finish(one).code()).collect();
    assert_eq!(runs(&attempt), 1);
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1);
}

#[test]
fn a_supervisor_that_meets_a_living_one_gives_up() {
    let attempt = Attempt::of_script(&format!("{COUNTED}; sleep 600"));
    let dir = attempt.dir();
    let first = start(&dir);
    wait_for("the first run", || runs(&attempt) == 1);
    assert_eq!(finish(start(&dir)).code(), Some(91));
    wish_cancel(&dir, Duration::from_secs(30));
    finish(first);
    assert_eq!(runs(&attempt), 1);
}

#[test]
fn a_revoked_attempt_is_never_run() {
    let attempt = Attempt::of_script(COUNTED);
    let dir = attempt.dir();
    let revoked = Claim {
        launch_id: attempt.request.launch_id,
        by: Claimant::Revoked {
            reason: "test".to_owned(),
        },
        boot_id: String::new(),
        machine_id: String::new(),
        engine_id: None,
        stage: None,
    };
    assert_eq!(dir.try_claim(&revoked).expect("a claim"), ClaimOutcome::Won);
    assert_eq!(finish(start(&dir)).code(), Some(92));
    assert_eq!(runs(&attempt), 0);
    assert_eq!(dir.read_exit().expect("readable"), None);
}

#[test]
fn a_wish_that_came_before_the_start_is_kept() {
    let attempt = Attempt::of_script(COUNTED);
    wish_cancel(&attempt.dir(), Duration::ZERO);
    let (_, record) = attempt.run();
    assert!(record.asked_to_stop);
    assert_eq!(runs(&attempt), 0);
}

#[test]
fn children_that_hide_in_other_sessions_and_ignore_signals_are_gone() {
    let attempt = Attempt::of_script(
        r#"trap "" TERM HUP
        stay() { trap "" TERM HUP; sh -c 'echo $PPID' >> $W/pids; while :; do sleep 600; done; }
        stay &
        (stay & stay & wait) &
        setsid sh -c 'trap "" TERM; echo $$ >> '$W'/pids; sleep 600; :' &
        setsid env -i sh -c 'trap "" TERM; echo $$ >> '$W'/pids; (setsid sleep 600 & setsid sleep 601; :)' &
        while [ $(wc -l < $W/pids) -lt 5 ]; do sleep 0.01; done
        exit 3"#,
    );
    let (status, _) = attempt.run();
    assert_eq!(status.code(), Some(3));
    let left: Vec<u32> = pids(&attempt.file("pids"), 5);
    assert!(left.iter().all(|pid| !lives(*pid)), "still there: {left:?}");
}

#[test]
fn the_commands_end_is_recorded_after_its_children_are_gone_even_if_they_hold_its_output() {
    let attempt = Attempt::of_script("sleep 600 & echo $! > $W/pids; exit 0");
    let (_, record) = attempt.run();
    assert_eq!(record.code, Some(0));
    assert!(!lives(pids(&attempt.file("pids"), 1)[0]));
}

#[test]
fn a_killed_supervisor_takes_its_command_with_it() {
    let attempt = Attempt::of_script("echo $$ > $W/pids; exec sleep 600");
    let dir = attempt.dir();
    let mut supervisor = start(&dir);
    let command = pids(&attempt.file("pids"), 1)[0];
    supervisor.kill().expect("a living supervisor");
    finish(supervisor);
    wait_for("the command's end", || !lives(command));
    assert!(!dir.is_locked().expect("a lock file"));
    assert_eq!(dir.read_exit().expect("readable"), None);
}

#[test]
fn a_run_timeout_stops_the_command() {
    let attempt = Attempt::of(&["sleep", "600"]).with(|request| {
        request.limits.run_timeout_ms = Some(100);
    });
    let (status, record) = attempt.run();
    assert_eq!(status.code(), Some(128 + 15));
    assert!(record.run_timeout && record.asked_to_stop);
    assert_eq!(record.cause(), Some(Cause::RunTimeout));
    assert_eq!(record.signal, Some(15));
}

#[test]
fn a_command_that_ignores_the_wish_is_killed_after_the_grace() {
    let attempt =
        Attempt::of_script(r#"trap "" TERM; echo $$ > $W/pids; while :; do sleep 600; done"#);
    let dir = attempt.dir();
    let supervisor = start(&dir);
    pids(&attempt.file("pids"), 1);
    wish_cancel(&dir, Duration::from_millis(100));
    assert_eq!(finish(supervisor).code(), Some(128 + 9));
    let record = dir.read_exit().expect("readable").expect("a record");
    assert_eq!((record.signal, record.asked_to_stop), (Some(9), true));
    assert!(!record.out_of_memory && !record.run_timeout);
}

#[test]
fn a_command_may_end_well_within_the_grace() {
    let attempt = Attempt::of_script(
        r#"trap "exit 0" TERM; echo $$ > $W/pids; while :; do sleep 0.01; done"#,
    );
    let dir = attempt.dir();
    let supervisor = start(&dir);
    pids(&attempt.file("pids"), 1);
    wish_cancel(&dir, Duration::from_secs(30));
    assert_eq!(finish(supervisor).code(), Some(0));
    let record = dir.read_exit().expect("readable").expect("a record");
    assert_eq!((record.code, record.asked_to_stop), (Some(0), true));
}

#[test]
fn a_signal_to_the_supervisor_stops_the_command_but_is_not_our_wish() {
    let attempt = Attempt::of_script("echo $$ > $W/pids; exec sleep 600");
    let dir = attempt.dir();
    let supervisor = start(&dir);
    pids(&attempt.file("pids"), 1);
    signal(supervisor.id(), Signal::TERM);
    assert_eq!(finish(supervisor).code(), Some(128 + 15));
    let record = dir.read_exit().expect("readable").expect("a record");
    assert_eq!((record.signal, record.asked_to_stop), (Some(15), false));
}

#[test]
fn a_command_that_ends_well_at_a_strangers_signal_may_be_half_done() {
    let attempt = Attempt::of_script(
        r#"trap "exit 0" TERM; echo $$ > $W/pids; while :; do sleep 0.01; done"#,
    );
    let dir = attempt.dir();
    let supervisor = start(&dir);
    pids(&attempt.file("pids"), 1);
    signal(supervisor.id(), Signal::TERM);
    assert_eq!(finish(supervisor).code(), Some(0));
    let record = dir.read_exit().expect("readable").expect("a record");
    assert!(record.interrupted && !record.asked_to_stop);
    assert_eq!(record.cause(), Some(Cause::JobError), "no success");
}

#[test]
fn code_75_and_the_retry_file_say_infrastructure() {
    let (_, record) = Attempt::of_script("exit 75").run();
    assert_eq!(record.cause(), Some(Cause::Infra));
    let (_, record) = Attempt::of_script("touch $TRAINHOOK_OUT_DIR/retry; exit 1").run();
    assert!(record.wants_retry);
    assert_eq!(record.cause(), Some(Cause::Infra));
}

#[test]
fn what_cannot_be_started_says_what_to_do() {
    let error = |attempt: Attempt| attempt.run().1.start_error.expect("a start error");
    let missing = error(Attempt::of(&["pythn3", "train.py"]));
    assert!(
        missing.starts_with("cannot start `pythn3`: not found in PATH: install it"),
        "{missing}"
    );
    let nowhere = Attempt::of(&["true"]).with(|request| request.workdir = "/no/such/folder".into());
    assert!(error(nowhere).contains("its workdir /no/such/folder is no folder"));
    let script = Attempt::of(&["./train.sh"]);
    fs::write(script.file("train.sh"), "#!/bin/sh\n").expect("a script");
    assert!(error(script).contains("chmod +x"));
    let option = Attempt::of(&["echo", "{params.name}"]).with_param("name", "-rf");
    assert!(error(option).contains("--x={params.name}"));
    assert!(error(Attempt::of(&["echo", "{params.nothing}"])).contains("is no placeholder"));
    assert!(error(Attempt::of(&["echo", "{oops"])).contains("without its partner"));
}

#[test]
fn a_program_that_the_system_refuses_says_so_in_its_log() {
    let attempt = Attempt::of(&["./broken"]);
    fs::write(attempt.file("broken"), "#!/no/such/interpreter\n").expect("a script");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(attempt.file("broken"), mode).expect("permissions");
    let (status, record) = attempt.run();
    assert_eq!(status.code(), Some(127));
    let reason = record.reason.expect("a reason");
    assert!(reason.starts_with("cannot start ./broken: "), "{reason}");
}

#[test]
fn placeholders_fill_one_argument_each() {
    let attempt = Attempt::of(&[
        "printf",
        "[%s]",
        "{params.text}",
        "--n={params.n}",
        "{{x}}",
        "{params.n}",
        "{out_dir}/m",
    ])
    .with_param("text", "two words; $HOME")
    .with_param("n", -3);
    attempt.run();
    let dir = attempt.dir();
    let log = String::from_utf8(dir.log_tail(4096).expect("a log").bytes).expect("text");
    let out = dir.out();
    assert_eq!(
        log,
        format!("[two words; $HOME][--n=-3][{{x}}][-3][{}/m]", out.display())
    );
}

#[test]
fn the_environment_is_clean_and_tells_everything() {
    let attempt = Attempt::of(&["env", "-0"])
        .with_param("learning-rate", 0.5)
        .with_param("name", "a\nb");
    let dir = attempt.dir();
    finish(
        supervisor(&dir)
            .env("GIVEN", "1")
            .spawn()
            .expect("a supervisor"),
    );
    let log = String::from_utf8(dir.log_tail(65536).expect("a log").bytes).expect("text");
    let pairs = log.split('\0').filter_map(|pair| pair.split_once('='));
    let seen: BTreeMap<&str, &str> = pairs.collect();
    let path = |path: std::path::PathBuf| path.to_str().expect("a path").to_owned();
    for (name, value) in [
        ("GIVEN", "1".to_owned()),
        ("PYTHONUNBUFFERED", "1".to_owned()),
        ("TRAINHOOK_PROTOCOL", "1".to_owned()),
        ("TRAINHOOK_JOB_ID", attempt.request.job_id.to_string()),
        ("TRAINHOOK_LAUNCH_ID", attempt.request.launch_id.to_string()),
        ("TRAINHOOK_ATTEMPT", "1".to_owned()),
        ("TRAINHOOK_RESUME", "0".to_owned()),
        ("TRAINHOOK_MODEL", "digits".to_owned()),
        ("TRAINHOOK_MODEL_RUN_ID", "run-1".to_owned()),
        ("TRAINHOOK_MODEL_ID", "model-1".to_owned()),
        ("TRAINHOOK_PARAM_LEARNING_RATE", "0.5".to_owned()),
        ("TRAINHOOK_PARAM_NAME", "a\nb".to_owned()),
        ("TRAINHOOK_JOB_DIR", path(dir.path().to_owned())),
        (
            "TRAINHOOK_TRAINING_FILE",
            path(dir.data().join("training.ndjson")),
        ),
        (
            "TRAINHOOK_PREDICTIONS_FILE",
            path(dir.out().join("predictions.ndjson")),
        ),
        ("TRAINHOOK_CHECKPOINT_DIR", path(dir.checkpoint())),
        ("TRAINHOOK_EVENTS_FILE", path(dir.events())),
        ("TORCHELASTIC_ERROR_FILE", path(dir.torch_error())),
    ] {
        assert_eq!(seen.get(name), Some(&value.as_str()), "{name}");
    }
    assert!(fs::metadata(seen["TRAINHOOK_BIN"]).is_ok());
}

#[test]
fn a_checkpoint_means_resume() {
    let attempt =
        Attempt::of_script("echo $TRAINHOOK_RESUME; test -f $TRAINHOOK_CHECKPOINT_DIR/step");
    fs::write(attempt.dir().checkpoint().join("step"), "7").expect("a checkpoint");
    assert_eq!(attempt.run().1.code, Some(0));
    assert_eq!(attempt.dir().log_tail(16).expect("a log").bytes, b"1\n");
}

#[test]
fn the_heart_beats_before_the_end() {
    let attempt =
        Attempt::of_script("while ! [ -s $TRAINHOOK_JOB_DIR/heartbeat ]; do sleep 0.01; done");
    attempt.run();
    assert_eq!(attempt.dir().read_heartbeat().expect("readable"), Some(1));
}

#[test]
fn a_supervisor_killed_at_any_moment_leads_to_no_second_run() {
    for delay in 0..40 {
        let attempt = Attempt::of_script(COUNTED);
        let dir = attempt.dir();
        let mut first = start(&dir);
        std::thread::sleep(Duration::from_micros(delay * 500));
        first.kill().expect("a child of ours");
        finish(first);
        let claimed = dir.read_claim().expect("readable").is_some();
        let second = finish(start(&dir)).code();
        assert_eq!(second, Some(if claimed { 92 } else { 0 }), "after {delay}");
        assert!(runs(&attempt) <= 1, "after {delay}");
    }
}

#[test]
fn a_command_whose_keeper_ends_is_stopped_whole_and_is_infrastructures_loss() {
    let script = "setsid sleep 600 & echo $! >> $W/pids; sleep 600 & echo $! >> $W/pids; wait";
    let attempt = Attempt::of_script(script);
    let dir = attempt.dir();
    let mut keeper = std::process::Command::new("sleep")
        .arg("600")
        .spawn()
        .expect("sleep is there");
    let keeper_pid = keeper.id().to_string();
    let child = supervisor(&dir).args(["--keeper", &keeper_pid]).spawn();
    let child = child.expect("the program starts");
    let pids = pids(&attempt.file("pids"), 2);
    keeper.kill().expect("it runs");
    keeper.wait().expect("it ends");
    finish(child);
    let record = dir.read_exit().expect("readable").expect("a record");
    assert!(record.keeper_lost && !record.asked_to_stop, "{record:?}");
    assert_eq!(record.cause(), Some(Cause::Infra));
    assert!(!pids.into_iter().any(lives), "nothing of it is left");
}

#[test]
fn nothing_begins_for_a_keeper_that_is_gone() {
    let attempt = Attempt::of_script(COUNTED);
    let dir = attempt.dir();
    let ended = supervisor(&dir)
        .args(["--keeper", &u32::MAX.to_string()])
        .status();
    assert_eq!(ended.expect("the program starts").code(), Some(93));
    assert_eq!(runs(&attempt), 0);
    assert_eq!(dir.read_claim().expect("readable"), None);
}
