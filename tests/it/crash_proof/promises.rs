//! What must hold after all kills, seen from outside: by the commands' own notes, by what Labelbox was
//! told, and by what the server says of its jobs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{PREDICTIONS, Trial};
use crate::support::{processes, stack::statuses};

/// Causes for which the model wants a new attempt.
const INFRASTRUCTURE: [&str; 4] = ["start_failed", "preempted", "node_lost", "infra"];

pub(super) fn hold(trial: &Trial) {
    assert!(!trial.accepted.is_empty());
    let jobs = jobs(trial);
    no_accepted_run_is_lost(trial, &jobs);
    no_command_started_twice_for_one_attempt(trial);
    for (run, id) in &trial.accepted {
        let job = &jobs[id];
        attempts_have_their_causes(job);
        labelbox_knows_the_end(trial, run, job);
        data_arrives(job);
        predictions_arrive_once(trial, run, job);
    }
    nothing_is_left_running(trial);
}

fn jobs(trial: &Trial) -> BTreeMap<String, Value> {
    let ids = trial.accepted.iter().map(|(_, id)| id.clone());
    ids.map(|id| (id.clone(), trial.stack.job(&id))).collect()
}

fn no_accepted_run_is_lost(trial: &Trial, jobs: &BTreeMap<String, Value>) {
    for (run, id) in &trial.accepted {
        let job = &jobs[id]["job"];
        assert_eq!(job["modelRunId"], run.as_str());
        assert!(job["endedAt"].is_string(), "{job}");
    }
    let listed = trial
        .stack
        .trainhook(&["jobs", "list", "--limit", "1000", "--json"]);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let runs = listed["jobs"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|job| job["modelRunId"].to_string());
    let runs: Vec<String> = runs.collect();
    let distinct: BTreeSet<&String> = runs.iter().collect();
    assert_eq!(distinct.len(), runs.len(), "one job a run");
}

fn no_command_started_twice_for_one_attempt(trial: &Trial) {
    let starts = trial.stack.lines("starts");
    let distinct: BTreeSet<&String> = starts.iter().collect();
    assert_eq!(
        distinct.len(),
        starts.len(),
        "a launch was started twice: {starts:?}"
    );
    let known: BTreeSet<String> = trial
        .accepted
        .iter()
        .map(|(_, id)| id.replace('-', ""))
        .collect();
    for launch in starts {
        let job = launch
            .trim_start_matches("th-")
            .split("-a")
            .next()
            .unwrap_or_default()
            .to_owned();
        assert!(known.contains(&job), "{launch} belongs to no job");
    }
}

/// As many attempts ended for an infrastructure cause as there are attempts after the first.
fn attempts_have_their_causes(job: &Value) {
    let attempts = job["job"]["attempt"].as_u64().expect("a number");
    let timeline = job["timeline"].as_array().expect("a list");
    let ended = timeline.iter().filter_map(|line| line["detail"].as_str());
    let causes =
        ended.filter_map(|detail| detail.strip_prefix("attempt ")?.split(" ended: ").nth(1));
    let causes: Vec<&str> = causes.filter_map(|rest| rest.split(':').next()).collect();
    assert_eq!(causes.len() as u64, attempts - 1, "{job}");
    assert!(
        causes.iter().all(|cause| INFRASTRUCTURE.contains(cause)),
        "{job}"
    );
}

/// The final status was delivered, it is the job's, and nothing came after it.
fn labelbox_knows_the_end(trial: &Trial, run: &str, job: &Value) {
    let timeline = trial.stack.emulator.timeline(run);
    let told = statuses(&timeline);
    let wanted = match job["job"]["state"].as_str() {
        Some("succeeded") => "COMPLETE",
        _ => "FAILED",
    };
    assert_eq!(told.last(), Some(&wanted), "{told:?} {job}");
    let finals = told
        .iter()
        .filter(|status| matches!(**status, "COMPLETE" | "FAILED"));
    assert_eq!(finals.count(), 1, "{told:?} {job}");
    // What waited may have been merged into what came after it, but nothing goes back to the beginning.
    let begun_again = told
        .iter()
        .skip(1)
        .any(|status| *status == "EXPORTING_DATA");
    assert!(!begun_again, "{told:?} {job}");
}

/// Nothing that was killed or went wrong keeps the data away, or leaves half of it.
fn data_arrives(job: &Value) {
    let job = &job["job"];
    if job["model"] == "data" {
        let kept_away = ["export_failed", "preflight", "infra", "job_error"];
        let cause = job["cause"].as_str().unwrap_or_default();
        assert!(!kept_away.contains(&cause), "{job}");
    }
}

/// Nothing that was killed or went wrong has Labelbox import anything twice, or take a part of it for all.
fn predictions_arrive_once(trial: &Trial, run: &str, job: &Value) {
    let imported = trial
        .stack
        .emulator
        .predictions(run)
        .expect("the run is there");
    assert_eq!(imported.repeated_imports, 0, "{imported:?} {job}");
    let all = PREDICTIONS as u64;
    assert!(imported.predictions <= all, "{imported:?} {job}");
    let job = &job["job"];
    if job["model"] == "predicting" {
        assert_ne!(job["cause"], "upload_failed", "{job}");
        if job["state"] == "succeeded" {
            assert_eq!(
                (imported.predictions, imported.imports.len()),
                (all, 3),
                "{job}"
            );
        }
    }
}

fn nothing_is_left_running(trial: &Trial) {
    // Under a tracer the server is not our child.
    let server = trial.stack.server.info()["pid"].as_u64();
    let ours = |pid: u32| pid == trial.stack.server.child.id() || Some(u64::from(pid)) == server;
    let living = processes::living_in(trial.stack.folder.path());
    let left: Vec<_> = living.iter().filter(|process| !ours(process.pid)).collect();
    assert!(left.is_empty(), "{left:?}");
}
