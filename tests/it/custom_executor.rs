//! The example of an executor of one's own, through the whole circle.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use trainhook::process::ProcessId;

use crate::support::stack::{API_KEY, SECRET, Stack, UNTIL_GO, job_id, model, settings, workspace};

/// The example, which `cargo test` builds beside the program under test.
fn example() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_trainhook"));
    let example = program.with_file_name("examples").join("custom_executor");
    assert!(example.exists(), "first run: cargo build --examples");
    example
}

async fn start(script: &str, settings_of_model: &str) -> Stack {
    let model = model("job", script, settings_of_model);
    Stack::start_program(&example(), |endpoint| {
        format!(
            "{}{}[executors.local]\nkind = \"nice\"\nlevel = 7\nmax_running = 2\n{model}",
            settings(),
            workspace("main", "/", endpoint)
        )
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_executor_runs_the_command_its_own_way() {
    let stack = start("nice > level", "").await;
    let run = stack.new_run();
    stack.click(&run, "job").await;
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("level"), ["7"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_executor_finds_its_job_again_after_kill_9() {
    let mut stack = start(UNTIL_GO, "").await;
    let run = stack.new_run();
    stack.click(&run, "job").await;
    stack.wait_for_lines("runs", 1).await;
    stack.server.kill();
    stack.restart().await;
    stack.go();
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"], "one run of the command");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_executor_ends_a_job_that_is_cancelled() {
    let stack = start(UNTIL_GO, "cancel_grace = \"1s\"").await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    stack.trainhook(&["jobs", "cancel", &id]);
    stack.told(&run, "FAILED").await;
    assert_eq!(stack.job(&id)["job"]["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_outlives_a_killed_supervisor_is_ended_before_its_job_fails() {
    let stack = start("echo $$ > pid; while [ ! -e go ]; do sleep 0.05; done", "").await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let command = stack.wait_for_lines("pid", 1).await.remove(0);
    kill_supervisor(&stack.folder.path().join("jobs").join(id).join("a1"));
    stack.told(&run, "FAILED").await;
    let command = ProcessId::of(command.parse().expect("a pid"));
    assert!(!command.is_some_and(ProcessId::is_alive));
}

#[test]
fn its_table_is_checked_like_any_other() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let executor = "[executors.local]\nkind = \"nice\"\nlevel = 70\nlevle = 7\n";
    let file = format!(
        "{}{executor}{}",
        workspace("main", "/", "http://127.0.0.1:1/graphql"),
        model("job", "true", "")
    );
    for (name, text) in [
        ("models.toml", file.as_str()),
        ("secret", SECRET),
        ("key", API_KEY),
    ] {
        fs::write(folder.path().join(name), text).expect("the folder is writable");
    }
    let output = Command::new(example())
        .arg("check")
        .current_dir(folder.path())
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("executors.local.level:") && text.contains("executors.local.levle:"),
        "{text}"
    );
}

fn kill_supervisor(attempt: &Path) {
    let lock = fs::read(attempt.join("supervisor.lock")).expect("a supervisor holds its lock");
    let holder: Value = serde_json::from_slice(&lock).expect("JSON");
    let killed = Command::new("kill")
        .args(["-KILL", &holder["pid"].to_string()])
        .status();
    assert!(killed.expect("kill is there").success());
}
