//! Of all supervisors of an attempt one runs its command, and none does once it is revoked.

use std::time::Duration;

use trainhook::job_dir::{Claim, ClaimOutcome, Claimant};

use super::{COUNTED, runs, wish_cancel};
use crate::support::attempts::{Attempt, finish, start, wait_for};

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
