//! `trainhook event`: what a training command tells while it runs.

use std::{
    fs,
    process::{Command, Output},
};

use trainhook::{
    job::Stage,
    job_dir::{Event, Level},
};

use crate::support::attempts::{Attempt, PROGRAM};

fn event(attempt: &Attempt, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("event").args(arguments);
    command.env("TRAINHOOK_JOB_DIR", attempt.dir().path());
    command.output().expect("the program")
}

#[test]
fn every_kind_of_event_is_told() {
    let attempt = Attempt::of(&["true"]);
    let all: [&[&str]; 4] = [
        &["stage", "training"],
        &["progress", "45"],
        &["metric", "loss=0.21", "accuracy=0.93", "--step", "7"],
        &["note", "almost there", "--level", "warning"],
    ];
    for arguments in all {
        assert!(event(&attempt, arguments).status.success());
    }
    let metric = |name: &str, value| Event::Metric {
        name: name.to_owned(),
        value,
        step: Some(7),
    };
    let expected = vec![
        Event::Stage {
            stage: Stage::Training,
        },
        Event::Progress { percent: 45.0 },
        metric("loss", 0.21),
        metric("accuracy", 0.93),
        Event::Note {
            level: Level::Warning,
            text: "almost there".to_owned(),
        },
    ];
    assert_eq!(
        attempt.dir().read_events(0).expect("events").events,
        expected
    );
}

#[test]
fn a_torn_line_costs_only_itself() {
    let attempt = Attempt::of(&["true"]);
    fs::write(attempt.dir().events(), "{\"type\":\"prog").expect("events.ndjson");
    assert!(event(&attempt, &["progress", "5"]).status.success());
    let batch = attempt.dir().read_events(0).expect("events");
    assert_eq!(batch.events, vec![Event::Progress { percent: 5.0 }]);
}

#[test]
fn fail_writes_the_reason_that_is_shown() {
    let attempt =
        Attempt::of_script("$TRAINHOOK_BIN event fail 'no labels in the training split'; exit 1");
    assert_eq!(
        attempt.reason().as_deref(),
        Some("no labels in the training split")
    );
}

#[test]
fn outside_a_job_it_says_so() {
    let mut command = Command::new(PROGRAM);
    command.args(["event", "progress", "5"]);
    let output = command
        .env_remove("TRAINHOOK_JOB_DIR")
        .output()
        .expect("the program");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("TRAINHOOK_JOB_DIR is not set"));
}

#[test]
fn what_is_no_value_is_refused() {
    let attempt = Attempt::of(&["true"]);
    let wrong: [&[&str]; 5] = [
        &["progress", "101"],
        &["metric", "loss=NaN"],
        &["metric", "loss"],
        &["stage", "dancing"],
        &["note", "x", "--level", "loud"],
    ];
    for arguments in wrong {
        assert_eq!(
            event(&attempt, arguments).status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
    assert!(!attempt.dir().events().exists());
}
