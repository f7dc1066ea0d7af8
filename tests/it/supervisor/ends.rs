//! The end of a command: nothing of it is left, and the record says how it ended.

use trainhook::job::Cause;

use crate::support::attempts::{Attempt, finish, lives, pids, start, wait_for};

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
fn code_75_and_the_retry_file_say_infrastructure() {
    let (_, record) = Attempt::of_script("exit 75").run();
    assert_eq!(record.cause(), Some(Cause::Infra));
    let (_, record) = Attempt::of_script("touch $TRAINHOOK_OUT_DIR/retry; exit 1").run();
    assert!(record.wants_retry);
    assert_eq!(record.cause(), Some(Cause::Infra));
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
fn the_heart_beats_before_the_end() {
    let attempt =
        Attempt::of_script("while ! [ -s $TRAINHOOK_JOB_DIR/heartbeat ]; do sleep 0.01; done");
    attempt.run();
    assert_eq!(attempt.dir().read_heartbeat().expect("readable"), Some(1));
}
