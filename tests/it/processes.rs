//! What the system says of processes: none is taken for another, none is signalled on trust.

use std::{
    process::{Child, Command},
    time::Duration,
};

use jiff::Timestamp;
use trainhook::{
    job::{JobId, LaunchId},
    process::{self, LAUNCH_MARK, ProcessId, Session, Signal},
};

use crate::support::attempts::{lives, wait_for};

fn launch_id() -> LaunchId {
    LaunchId {
        job: JobId::new(Timestamp::now()),
        attempt: 1,
    }
}

fn sleeper(mark: &str) -> (Child, ProcessId) {
    let mut command = Command::new("sleep");
    let child = command.arg("600").env(LAUNCH_MARK, mark).spawn();
    let child = child.expect("sleep");
    let id = ProcessId::of(child.id()).expect("a living process");
    (child, id)
}

/// A session of which no process is left.
fn empty_session() -> Session {
    let leader = ProcessId {
        pid: u32::MAX,
        start_time: 0,
    };
    Session::new(leader, Duration::ZERO)
}

#[test]
fn a_process_with_another_start_time_is_not_signalled() {
    let (mut child, id) = sleeper("");
    let stranger = ProcessId {
        start_time: id.start_time + 1,
        ..id
    };
    assert!(!stranger.is_alive());
    assert!(!process::kill(stranger, Signal::KILL).expect("an answer"));
    assert!(lives(id.pid));
    assert!(process::kill(id, Signal::KILL).expect("an answer"));
    wait_for("its end", || !id.is_alive());
    // Not waited for yet: its pid is still taken, and it is gone all the same.
    assert_eq!(process::start_time(id.pid), Some(id.start_time));
    assert!(!process::kill(id, Signal::KILL).expect("an answer"));
    child.wait().expect("a child of ours");
}

#[test]
fn a_launch_owns_the_processes_that_bear_its_mark_and_no_others() {
    let (ours, theirs) = (launch_id(), launch_id());
    let (mut child, id) = sleeper(&ours.to_string());
    let (mut other, _) = sleeper(&format!("{theirs}0"));
    // The mark is in the environment only once the program runs.
    wait_for("the mark", || {
        process::processes_of(&empty_session(), ours) == [id]
    });
    assert_eq!(process::processes_of(&empty_session(), theirs), []);
    for child in [&mut child, &mut other] {
        child.kill().expect("a child of ours");
        child.wait().expect("a child of ours");
    }
    assert_eq!(process::processes_of(&empty_session(), ours), []);
}

#[test]
fn a_session_number_that_is_used_again_is_another_session() {
    let mut command = Command::new("setsid");
    let mut child = command.args(["sleep", "600"]).spawn().expect("setsid");
    let leader = || ProcessId::of(child.id()).expect("a living process");
    let session = |start_time| {
        let leader = ProcessId {
            start_time,
            ..leader()
        };
        Session::new(leader, Duration::ZERO)
    };
    let start_time = leader().start_time;
    wait_for("its own session", || {
        process::processes_of(&session(start_time), launch_id()) == [leader()]
    });
    assert_eq!(
        process::processes_of(&session(start_time - 1), launch_id()),
        []
    );
    child.kill().expect("a child of ours");
    child.wait().expect("a child of ours");
}

#[test]
fn machine_boot_and_namespace_have_names() {
    assert!(!process::machine_id().is_empty());
    assert_eq!(process::boot_id().len(), 36);
    assert!(process::pid_namespace().starts_with("pid:["));
}
