//! A model whose attempts share no files with the server: code, data, log and outputs travel over HTTP. It is killed at
//! random with all others, and here at every step, on either side.
//!
//! | server and supervisor are killed… | by what lies on the disks of both |
//! |---|---|
//! | before the claim | no `claim.json` at the server |
//! | while code and data are fetched | the claim, and no command |
//! | while the command runs and log and events are told | the command's note, and no record |
//! | while outputs travel | a record with the supervisor, and none at the server |
//! | when the record has arrived | a record at the server |
//!
//! What chance may leave out is made to happen in `mirror::outages`: a supervisor that dies before its claim, a server that
//! dies while outputs arrive, a supervisor that dies with a record that it owes.

use std::{
    collections::BTreeSet, fs, net::SocketAddr, ops::RangeInclusive, os::unix::fs::symlink,
    path::Path,
};

use tempfile::TempDir;
use trainhook::process::ProcessId;

use super::{Trial, points, promises};
use crate::{
    export,
    mirror::proxy::Proxy,
    support::{
        skip,
        tracer::{can_trace, traced_program},
    },
};

/// What takes a step on either side, from where on such a job's own steps come, and how far they reach, in one thread.
const STEPS: [(&str, RangeInclusive<usize>); 3] = [
    ("fsync", 12..=24), // the attempt's folder, what is fetched and told, outputs, the record
    ("linkat", 1..=1),  // the claim, at the server
    ("flock", 1..=3),   // the supervisor's lock
];

/// So many of the five stages are met at least.
const STAGES_MET: usize = 3;

/// The folder with its code.
pub(super) fn code() -> TempDir {
    let code = tempfile::tempdir().expect("a folder for the code");
    let script = "echo $TRAINHOOK_LAUNCH_ID >> $HERE/starts\n\
                  [ $(wc -l < $TRAINHOOK_TRAINING_FILE) = 160 ] || exit 4\n\
                  mkdir -p $TRAINHOOK_OUT_DIR/model\n\
                  head -c 300000 /dev/zero > $TRAINHOOK_OUT_DIR/model/weights\n\
                  cp $HERE/predictions.ndjson $TRAINHOOK_OUT_DIR/\n\
                  echo trained\n";
    fs::write(code.path().join("train.sh"), script).expect("the folder is writable");
    code
}

/// Its code reaches the test's folder, which is made later, as `here`.
pub(super) fn lead_to(code: &Path, folder: &Path) {
    symlink(folder, code.join("here")).expect("the folder is writable");
}

pub(super) fn listening(proxy: &Proxy) -> String {
    let address = proxy.address;
    format!("jobs_listen = \"127.0.0.1:0\"\njobs_url = \"http://{address}\"\n")
}

pub(super) fn executor_and_model(code: &Path) -> String {
    let settings = format!(
        "retry = {{ max = 5, backoff = \"20ms\" }}\ncancel_grace = \"100ms\"\nmax_starts_per_day = \"none\"\n\
         import_lines = 2\nworkdir = {code:?}\nfiles = [\"train.sh\"]\nenv = {{ HERE = {:?} }}",
        code.join("here")
    );
    let model = export::model("mirrored", ". ./train.sh", &settings)
        .replace("predictions = \"none\"", "predictions = \"required\"")
        .replace("executor = \"local\"", "executor = \"node\"");
    format!("[executors.node]\nkind = \"local\"\nmirror = \"node\"\nmax_running = 4\n{model}")
}

impl Trial {
    /// Leads the wire to the server that runs now.
    pub(super) fn connect(&self) {
        let address: Option<SocketAddr> = self.stack.server.info()["jobs"]
            .as_str()
            .and_then(|address| address.parse().ok());
        self.proxy.lead_to(address);
    }
}

/// How far an attempt had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Unclaimed,
    Fetching,
    Running,
    Owing,
    Told,
}

/// Whose end it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Server,
    Supervisor,
}

/// Who has been killed of those who are at the newest job, and when.
fn deaths(trial: &Trial) -> Vec<(Victim, Stage)> {
    let newest = trial.accepted.last().filter(|_| trial.unanswered.is_none());
    let Some((_, id)) = newest else {
        return Vec::new();
    };
    let folder = trial.stack.folder.path();
    let attempt = (1..9).rev().map(|number| format!("a{number}"));
    let attempt = attempt
        .into_iter()
        .find(|name| folder.join("jobs").join(id).join(name).exists());
    let Some(attempt) = attempt else {
        return Vec::new();
    };
    let launch = format!("th-{}-{attempt}", id.replace('-', ""));
    let (there, here) = (
        folder.join("node").join(&launch).join(&attempt),
        folder.join("jobs").join(id).join(&attempt),
    );
    let begun = trial.stack.lines("starts").contains(&launch);
    let stage = match () {
        () if here.join("exit.json").exists() => Stage::Told,
        () if there.join("exit.json").exists() => Stage::Owing,
        () if begun => Stage::Running,
        () if here.join("claim.json").exists() => Stage::Fetching,
        () => Stage::Unclaimed,
    };
    let lock = fs::read(there.join("supervisor.lock")).unwrap_or_default();
    let holder = serde_json::from_slice::<ProcessId>(&lock).ok();
    let supervisor = holder
        .filter(|holder| !holder.is_alive())
        .map(|_| (Victim::Supervisor, stage));
    let server = points::has_died(trial).then_some((Victim::Server, stage));
    supervisor.into_iter().chain(server).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn at_every_step_over_http_a_kill_breaks_no_promise() {
    if !can_trace() {
        return skip("kills at every step over HTTP: strace cannot trace here");
    }
    let folder = tempfile::tempdir().expect("a folder for the test");
    let traced = traced_program(folder.path());
    let mut trial = Trial::start(0).await;
    let mut seen = BTreeSet::new();
    for (call, counts) in STEPS {
        for count in counts {
            let point = points::Point {
                model: "mirrored",
                call,
                count,
            };
            let mut look = |trial: &Trial| seen.extend(deaths(trial));
            points::try_point(&mut trial, &traced, point, &mut look).await;
        }
    }
    trial.fill_all_slots().await;
    promises::hold(&trial).await;
    println!("killed: {seen:?}");
    // On a machine that others keep busy the same step finds the other side elsewhere, so chance may leave one or two out.
    let met: BTreeSet<Stage> = seen.iter().map(|(_, stage)| *stage).collect();
    assert!(
        met.len() >= STAGES_MET,
        "the points are where they were: {seen:?}"
    );
    for victim in [Victim::Server, Victim::Supervisor] {
        let met = seen.iter().filter(|(met, _)| *met == victim).count();
        assert!(
            met >= 1,
            "the points are where they were: {victim:?} {seen:?}"
        );
    }
}
