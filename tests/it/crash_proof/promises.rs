//! What must hold after all kills, seen from outside: by the commands' own notes, by what Labelbox was
//! told, by the store's rows, and by what the server says of its jobs.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use trainhook::emulator::TimelineEntry;

use super::{PREDICTIONS, Trial, is_final};
use crate::support::{
    processes,
    stack::{statuses, wait_until},
};

/// Causes for which the model wants a new attempt.
const INFRASTRUCTURE: [&str; 4] = ["start_failed", "preempted", "node_lost", "infra"];

/// A job's row.
pub(super) struct Row {
    pub(super) id: String,
    run: String,
    pub(super) state: String,
}

pub(super) async fn hold(trial: &Trial) {
    assert!(!trial.accepted.is_empty());
    let rows = rows(trial);
    no_accepted_run_is_lost(trial, &rows);
    no_run_is_trained_without_a_click(trial, &rows);
    no_command_started_twice_for_one_attempt(trial, &rows);
    for row in &rows {
        let job = trial.stack.job(&row.id);
        attempts_have_their_causes(&job);
        data_arrives(&job);
        predictions_arrive_once(trial, &row.run, &job);
    }
    labelbox_was_told_of_every_job_in_turn(trial, &rows);
    nothing_is_left_running(trial).await;
}

/// All jobs, in the order of acceptance.
pub(super) fn rows(trial: &Trial) -> Vec<Row> {
    let file = trial.stack.folder.path().join("state/trainhook.db");
    let store = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let store = store.expect("the store opens");
    let mut rows = store
        .prepare("SELECT id, model_run_id, state FROM jobs ORDER BY seq")
        .expect("it has jobs");
    let rows = rows.query_map([], |row| {
        let (id, run, state) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Row { id, run, state })
    });
    rows.expect("it has jobs")
        .collect::<Result<_, _>>()
        .expect("they are readable")
}

fn no_accepted_run_is_lost(trial: &Trial, rows: &[Row]) {
    let runs: BTreeMap<&String, &String> = rows.iter().map(|row| (&row.id, &row.run)).collect();
    for (run, id) in &trial.accepted {
        assert_eq!(runs.get(id), Some(&run), "{id}");
    }
    for row in rows {
        let has_ended = matches!(&*row.state, "succeeded" | "failed" | "cancelled");
        assert!(has_ended, "{} is {}", row.id, row.state);
    }
}

/// A click that was not answered may have begun a job, and so may its repetition.
fn no_run_is_trained_without_a_click(trial: &Trial, rows: &[Row]) {
    let mut jobs: BTreeMap<&String, usize> = BTreeMap::new();
    for row in rows {
        *jobs.entry(&row.run).or_default() += 1;
    }
    for (run, count) in jobs {
        assert!(trial.clicks.get(run) >= Some(&count), "{run}: {count} jobs");
    }
}

fn no_command_started_twice_for_one_attempt(trial: &Trial, rows: &[Row]) {
    let starts = trial.stack.lines("starts");
    let distinct: BTreeSet<&String> = starts.iter().collect();
    assert_eq!(
        distinct.len(),
        starts.len(),
        "a launch was started twice: {starts:?}"
    );
    let known: BTreeSet<String> = rows.iter().map(|row| row.id.replace('-', "")).collect();
    for launch in starts {
        let job = launch.trim_start_matches("th-").split("-a").next();
        assert!(
            known.contains(job.unwrap_or_default()),
            "{launch} belongs to no job"
        );
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

/// Each run's jobs were told one after the other, in the order of their acceptance: none goes back to the beginning,
/// and each ends with its own final status, which was delivered and is the last word about it.
fn labelbox_was_told_of_every_job_in_turn(trial: &Trial, rows: &[Row]) {
    let mut wanted: BTreeMap<&String, Vec<&str>> = BTreeMap::new();
    for row in rows {
        let last = match &*row.state {
            "succeeded" => "COMPLETE",
            _ => "FAILED",
        };
        wanted.entry(&row.run).or_default().push(last);
    }
    for (run, finals) in wanted {
        let timeline = trial.stack.emulator.timeline(run);
        let told = statuses(&timeline);
        let ends: Vec<&str> = told
            .iter()
            .copied()
            .filter(|status| is_final(status))
            .collect();
        assert_eq!(ends, finals, "{run}: {told:?}");
        assert!(told.last().is_some_and(|last| is_final(last)), "{told:?}");
        nothing_goes_back_to_the_beginning(&timeline);
    }
}

/// What waited may have been merged into what came after it, but only a new job begins.
fn nothing_goes_back_to_the_beginning(timeline: &[TimelineEntry]) {
    let told = statuses(timeline);
    for pair in told.windows(2) {
        let begins = pair[1] == "EXPORTING_DATA";
        assert!(!begins || is_final(pair[0]), "{told:?}");
    }
}

/// Nothing that was killed or went wrong keeps the data away, or leaves half of it.
fn data_arrives(job: &Value) {
    let job = &job["job"];
    if ["data", "mirrored", "carried"].contains(&job["model"].as_str().unwrap_or_default()) {
        // A point may lie in the command itself.
        let is_killed = job["message"].as_str() == Some("killed by signal 9");
        let kept_away = ["export_failed", "preflight", "infra", "job_error"];
        let cause = job["cause"].as_str().unwrap_or_default();
        assert!(is_killed || !kept_away.contains(&cause), "{job}");
    }
}

/// Nothing that was killed or went wrong has Labelbox import anything twice, or take a part of it for all.
fn predictions_arrive_once(trial: &Trial, run: &str, job: &Value) {
    let arrived = trial.stack.emulator.predictions(run);
    let arrived = arrived.expect("the run is there");
    assert_eq!(arrived.repeated_imports, 0, "{arrived:?} {job}");
    let job = &job["job"];
    let id = job["id"].as_str().expect("an id").replace('-', "");
    let imports = arrived.imports.iter();
    let ours = imports.filter(|import| import.name.replace('-', "").contains(&id));
    let lines: Vec<u64> = ours.map(|import| import.lines).collect();
    let all = PREDICTIONS as u64;
    assert!(lines.iter().sum::<u64>() <= all, "{arrived:?} {job}");
    if ["predicting", "mirrored", "carried"].contains(&job["model"].as_str().unwrap_or_default()) {
        assert_ne!(job["cause"], "upload_failed", "{job}");
        if job["state"] == "succeeded" {
            assert_eq!((lines.len(), lines.iter().sum()), (3, all), "{job}");
        }
    }
}

/// A supervisor that shares no files ends a moment after the server has its record.
async fn nothing_is_left_running(trial: &Trial) {
    // Under a tracer the server is not our child.
    let server = trial.stack.server.info()["pid"].as_u64();
    let ours = |pid: u32| pid == trial.stack.server.child.id() || Some(u64::from(pid)) == server;
    let is_alone = || {
        let living = processes::living_in(trial.stack.folder.path());
        living.iter().all(|process| ours(process.pid)).then_some(())
    };
    wait_until("the end of every process but the server", is_alone).await;
}
