//! What stops a command: a wish, a time-out, a signal, the end of its keeper.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use trainhook::job::Cause;

use super::{COUNTED, runs, wish_cancel};
use crate::support::attempts::{Attempt, finish, lives, pids, start, supervisor};

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a pid");
    kill_process(pid, signal).expect("a living process");
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
