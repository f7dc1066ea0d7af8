//! kill -9 at every step to disk, to another process and to Labelbox, one after the other: the system call that would
//! take the step is where the process ends, be it the server's or the supervisor's.
//!
//! | the process is killed… | in its |
//! |---|---|
//! | before and after the 200 | `writev` of the answer, the `fsync` that follows it |
//! | after `submitting` is committed | `execve` of the server's child, `fsync`s of the attempt's folder |
//! | when a supervisor is spawned and holds no lock | `execve`, `flock` |
//! | with the lock, without the claim | `linkat` |
//! | with the claim, without a command | `execve`, `setsid`, `fsync` |
//! | while the command runs, and when it has ended without a record | `kill`, `fsync`, `rename` |
//! | when the record is there and not seen, seen and not committed | `fsync` of the server |
//! | when a final is committed and not sent, sent and not marked | `writev` of the report, the `fsync` that follows it |

use std::{fs, path::Path};

use trainhook::process::{self, ProcessId, Signal};

use super::{Trial, promises};
use crate::support::{
    processes,
    server::ServerProcess,
    skip,
    stack::{Stack, wait_until},
    tracer::{can_trace, traced_program},
};

/// What takes a step, and how often at most on the way of one job, in one thread.
const STEPS: [(&str, usize); 8] = [
    ("fsync", 20), // commits, files in the job directory
    ("linkat", 2), // the claim
    ("rename", 6), // files that appear whole
    ("flock", 4),  // the supervisor's lock
    ("execve", 4), // supervisor and command begin
    ("setsid", 2),
    ("kill", 2),
    ("writev", 8), // answers, questions, reports
];

fn server(stack: &Stack) -> Option<ProcessId> {
    let info = fs::read(stack.folder.path().join("state/server.json")).ok()?;
    let info: serde_json::Value = serde_json::from_slice(&info).ok()?;
    ProcessId::of(u32::try_from(info["pid"].as_u64()?).ok()?)
}

/// Where a process is killed on the way of one job.
#[derive(Clone, Copy)]
pub(super) struct Point {
    /// The job's model.
    pub(super) model: &'static str,
    /// The system call, and the how many-th of it in one thread.
    pub(super) call: &'static str,
    pub(super) count: usize,
}

/// Whether the server that was started last lives no more.
pub(super) fn has_died(trial: &Trial) -> bool {
    !server(&trial.stack).is_some_and(ProcessId::is_alive)
}

/// One job, of which some process is killed at this point; then whatever died starts again. `look` sees the trial
/// meanwhile, again and again. Answers whether the server died.
pub(super) async fn try_point(
    trial: &mut Trial,
    traced: &Path,
    point: Point,
    look: &mut (impl FnMut(&Trial) + Send),
) -> bool {
    let Point { model, call, count } = point;
    let inject = format!("-e trace={call} -e inject={call}:signal=KILL:when={count}");
    let mut died = !start_traced(trial, traced, &inject).await;
    let run = trial.stack.run_with(&trial.dataset);
    trial.click_on(run.clone(), model).await;
    let is_over = |trial: &Trial| {
        let timeline = trial.stack.emulator.timeline(&run);
        timeline
            .iter()
            .any(|entry| matches!(entry.status.as_str(), "COMPLETE" | "FAILED"))
    };
    let what = format!("the end at {call} {count}");
    wait_until(&what, || {
        look(trial);
        (is_over(trial) || has_died(trial)).then_some(())
    })
    .await;
    look(trial);
    died |= has_died(trial);
    // The point may still lie ahead, where the rest of the trial needs a server.
    end_server(trial).await;
    trial.restart().await;
    trial.settle().await;
    assert!(is_over(trial), "{call} {count}");
    died
}

/// Starts the server anew under the tracer, and without it if it dies on its way; answers whether it did not.
async fn start_traced(trial: &mut Trial, traced: &Path, inject: &str) -> bool {
    let folder = trial.stack.folder.path().to_owned();
    end_server(trial).await;
    fs::write(folder.join("inject"), format!("{inject}\n")).expect("the folder is writable");
    let started = ServerProcess::try_start(traced, &folder).await;
    let is_there = started.is_ok();
    match started {
        Ok(server) => trial.stack.server = server,
        Err(_) => trial.stack.restart().await,
    }
    trial.connect();
    is_there
}

/// The tracer lets go of what it traces when it is killed itself.
async fn end_server(trial: &mut Trial) {
    let process = server(&trial.stack);
    trial.stack.server.end();
    if let Some(process) = process {
        processes::kill_and_wait(process).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_every_step_a_kill_breaks_no_promise() {
    if !can_trace() {
        return skip("kills at every step: strace cannot trace here");
    }
    let folder = tempfile::tempdir().expect("a folder for the test");
    let traced = traced_program(folder.path());
    let mut trial = Trial::start(0).await;
    let mut deaths = 0;
    for (call, most) in STEPS {
        for count in 1..=most {
            let point = Point {
                model: "quick",
                call,
                count,
            };
            deaths += usize::from(try_point(&mut trial, &traced, point, &mut |_| {}).await);
        }
    }
    trial.fill_all_slots().await;
    promises::hold(&trial).await;
    let lost = trial
        .stack
        .trainhook(&["jobs", "list", "--state", "failed", "--limit", "99"]);
    let lost = lost.lines().count();
    println!("{deaths} servers died, {lost} jobs were lost with their supervisors");
    assert!(
        deaths >= 5 && lost >= 2,
        "the points are where they were: {deaths}, {lost}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_comes_late_finds_its_attempt_taken() {
    if !can_trace() {
        return skip("a supervisor that comes late: strace cannot trace here");
    }
    let folder = tempfile::tempdir().expect("a folder for the test");
    let traced = traced_program(folder.path());
    let mut trial = Trial::start(0).await;
    // A server waits for its child to become the supervisor. It is killed in that moment, and the child is held
    // there: whoever comes after it sees no lock and no note of a supervisor, and starts another.
    let slow = "-e trace=execve -e inject=execve:delay_enter=3000000";
    assert!(start_traced(&mut trial, &traced, slow).await);
    let run = trial.stack.new_run();
    trial.click_on(run.clone(), "quick").await;
    let jobs = trial.stack.folder.path().join("jobs");
    let supervisors = || processes::living_in(&jobs);
    let first = wait_until("the first supervisor", || supervisors().pop()).await;
    process::kill(first, Signal::STOP).expect("it is there");
    processes::kill_and_wait(server(&trial.stack).expect("it runs")).await;
    // Until then it holds what the server held, its lock too.
    wait_until("the supervisor it becomes", || {
        let arguments = fs::read_to_string(format!("/proc/{}/cmdline", first.pid)).ok()?;
        arguments.contains("supervise").then_some(())
    })
    .await;
    let program = Path::new(env!("CARGO_BIN_EXE_trainhook"));
    let next = ServerProcess::start(program, trial.stack.folder.path()).await;
    // The tracer must live on: a process that is traced goes on when its tracer ends.
    let _tracer = std::mem::replace(&mut trial.stack.server, next);
    trial.stack.told(&run, "COMPLETE").await;
    assert!(first.is_alive(), "the first one has not begun yet");
    process::kill(first, Signal::CONT).expect("it is there");
    wait_until("its end", || supervisors().is_empty().then_some(())).await;
    trial.settle().await;
    promises::hold(&trial).await;
}
