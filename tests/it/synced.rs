//! What is on disk before something else may rest on it: seen by the system calls of server and supervisor, since no kill
//! can show what a power cut would.

use std::fs;

use crate::support::{
    server::ServerProcess,
    skip,
    stack::{Stack, job_id, model},
    tracer::{can_trace, traced_program},
};

/// One job under a tracer; its id, and the calls that bring something to the disk, name it, or begin a process.
async fn traced_job() -> (String, Vec<String>) {
    let programs = tempfile::tempdir().expect("a folder for the test");
    let traced = traced_program(programs.path());
    let mut stack = Stack::start(&model("job", "true", "")).await;
    stack.server.stop().await;
    let folder = stack.folder.path();
    let inject = "-y -s 300 -e trace=fsync,fdatasync,rename,linkat,execve -o $PWD/calls";
    fs::write(folder.join("inject"), format!("{inject}\n")).expect("the folder is writable");
    stack.server = ServerProcess::start(&traced, folder).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "COMPLETE").await;
    let calls = fs::read_to_string(stack.folder.path().join("calls")).expect("they are noted");
    (id, calls.lines().map(str::to_owned).collect())
}

/// Each of these came after the one before it.
fn assert_in_order(calls: &[String], wanted: &[(&str, &str)]) {
    let mut rest = calls.iter();
    for (call, words) in wanted {
        let found = rest.any(|line| line.contains(call) && line.contains(words));
        assert!(
            found,
            "{call} {words} is not in its place:\n{}",
            calls.join("\n")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_promised_before_what_it_rests_on_is_on_disk() {
    if !can_trace() {
        return skip("what is on disk before what: strace cannot trace here");
    }
    let (id, calls) = traced_job().await;
    let job = format!("jobs/{id}");
    let at = |name: &str| format!("{job}{name}");
    const COMMIT: (&str, &str) = ("fsync(", "trainhook.db-wal>");
    // The click is stored; its folder is laid out before it is queued.
    assert_in_order(
        &calls,
        &[
            COMMIT,
            ("fsync(", &at("/.webhook.json")),
            ("rename(", &at("/webhook.json")),
            ("fsync(", &at(">")),
            ("fsync(", "/jobs>"),
            ("fsync(", &at("/server/.job.json")),
            ("fsync(", &at("/server>")),
            COMMIT,
        ],
    );
    // The attempt is described before a supervisor is started, which must win the claim before it starts the command,
    // and have room for its record.
    assert_in_order(
        &calls,
        &[
            ("fsync(", &at("/a1/.request.json")),
            ("rename(", &at("/a1/request.json")),
            ("fsync(", &at("/a1>")),
            ("fsync(", &at(">")),
            ("execve(", "\"supervise\""),
            ("fsync(", &at("/a1/.claim-")),
            ("linkat(", &at("/a1/claim.json")),
            ("fsync(", &at("/a1>")),
            ("fsync(", &at("/a1/.exit.json.reserved")),
            ("execve(", "\"supervise-exec\""),
            ("fsync(", &at("/a1/out>")),
            ("fsync(", &at("/a1/.exit.json.reserved")),
            ("rename(", &at("/a1/exit.json")),
            ("fsync(", &at("/a1>")),
            COMMIT,
        ],
    );
}
