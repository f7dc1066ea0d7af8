//! The contract with a launcher program, one clause a test.

use std::{fs, path::Path, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use trainhook::{
    config::{Secret, Table},
    executor::{BuildContext, CancelOutcome, Executor, Found, Registry, SubmitError},
    job::{Cause, Exit, Handle, JobId, LaunchId, Phase},
};

use super::{build, launch};
use crate::support::{processes, script::write_program};

/// An executor whose launcher is these lines of sh.
struct Launcher {
    folder: TempDir,
    executor: Arc<dyn Executor>,
}

impl Launcher {
    fn new(script: &str) -> Self {
        Self::with(script, "")
    }

    fn with(script: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        write_program(folder.path(), "launcher", script);
        let table = format!("command = [\"./launcher\"]\n{more}");
        let executor = build("program", folder.path(), &table);
        Self { folder, executor }
    }

    /// One that always answers so, with this exit code.
    fn answering(answer: &Value, code: i32) -> Self {
        let file = answer.to_string().replace('\'', "'\\''");
        Self::new(&format!(
            "cat >&2; echo >&2\nprintf '%s' '{file}'\necho 'the last word' >&2\nexit {code}"
        ))
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    async fn submit(&self) -> Result<Handle, SubmitError> {
        self.executor.submit(&launch(self.path())).await
    }
}

fn handle(data: Value) -> Handle {
    Handle {
        launch_id: launch(Path::new("/")).id,
        version: 1,
        data,
        place: None,
    }
}

#[tokio::test]
async fn the_exit_code_of_a_submit_says_whether_to_try_again() {
    let taken = json!({ "handle": { "id": 7 } });
    let submitted = Launcher::answering(&taken, 0).submit().await;
    assert_eq!(submitted.expect("taken").data, json!({ "id": 7 }));
    let said = "the last word".to_owned();
    for (code, error) in [
        (65, SubmitError::Rejected(said.clone())),
        (75, SubmitError::Transient(said.clone())),
        (1, SubmitError::Ambiguous(said.clone())),
        (64, SubmitError::Ambiguous(said)),
    ] {
        let submitted = Launcher::answering(&taken, code).submit().await;
        assert_eq!(submitted, Err(error), "{code}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_understood_may_have_started_something() {
    for answer in [json!("handle"), json!({}), json!([])] {
        let submitted = Launcher::answering(&answer, 0).submit().await;
        assert!(
            matches!(submitted, Err(SubmitError::Ambiguous(_))),
            "{submitted:?}"
        );
    }
}

#[tokio::test]
async fn a_launcher_that_is_not_there_has_started_nothing() {
    let launcher = Launcher::new("");
    fs::remove_file(launcher.path().join("launcher")).expect("it is ours");
    let submitted = launcher.submit().await;
    assert!(
        matches!(submitted, Err(SubmitError::Transient(_))),
        "{submitted:?}"
    );
}

#[tokio::test]
async fn a_launcher_that_hangs_is_killed_with_all_it_has_started() {
    let script = "cd \"$(dirname \"$0\")\"; sleep 600 & sleep 600";
    let launcher = Launcher::with(script, "call_timeout = \"1s\"");
    let submitted = launcher.submit().await;
    let Err(SubmitError::Ambiguous(why)) = submitted else {
        panic!("{submitted:?}");
    };
    assert!(why.ends_with("did not answer within 1 s"), "{why}");
    crate::support::stack::wait_until("the end of all", || {
        processes::living_in(launcher.path())
            .is_empty()
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_a_launcher_leaves_running_holds_up_no_answer() {
    let script = "sleep 600 & echo '{\"handle\": '$!'}'";
    let launcher = Launcher::with(script, "call_timeout = \"20s\"");
    let handle = launcher.submit().await.expect("an answer");
    let pid = handle.data.as_u64().expect("a pid");
    let pid = u32::try_from(pid).expect("a pid");
    let left = trainhook::process::ProcessId::of(pid).expect("it was left alone");
    processes::kill(left);
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let launcher = Launcher::new("yes '{\"handles\": []}'");
    let found = launcher.executor.find(&launch(launcher.path())).await;
    let error = found.expect_err("no answer").to_string();
    assert!(error.contains("wrote more than"), "{error}");
}

#[tokio::test]
async fn secrets_reach_a_launcher_on_standard_input_alone() {
    let script = "cat > input; env > env; tr '\\0' ' ' < /proc/$$/cmdline > arguments\n\
                  echo 'bad: s3cret-value' >&2; exit 75";
    let launcher = Launcher::new(&format!("cd \"$(dirname \"$0\")\"; {script}"));
    let mut launch = launch(launcher.path());
    let secret = Secret::new("s3cret-value");
    launch.env.insert("KEY_OF_MODEL".to_owned(), secret);
    let submitted = launcher.executor.submit(&launch).await;
    let said = SubmitError::Transient("bad: [redacted]".to_owned());
    assert_eq!(submitted, Err(said), "nor do its errors show them");
    let read = |name: &str| fs::read_to_string(launcher.path().join(name)).expect(name);
    let message: Value = serde_json::from_str(&read("input")).expect("JSON");
    assert_eq!(message["launch"]["env"]["KEY_OF_MODEL"], "s3cret-value");
    assert!(!read("env").contains("s3cret"), "{}", read("env"));
    assert!(
        !read("arguments").contains("s3cret"),
        "{}",
        read("arguments")
    );
    let _unknown = launcher.executor.find(&launch).await;
    assert!(
        !read("input").contains("s3cret"),
        "only where it is to be started"
    );
}

#[tokio::test]
async fn its_environment_is_what_its_table_says() {
    let more = "env = { QUEUE = \"a100\" }\nsettings = { zone = \"b\" }";
    let script = "cd \"$(dirname \"$0\")\"; cat > input; env > env; exit 75";
    let launcher = Launcher::with(script, more);
    let _refused = launcher.submit().await;
    let read = |name: &str| fs::read_to_string(launcher.path().join(name)).expect(name);
    let env = read("env");
    assert!(
        env.contains("QUEUE=a100\n") && env.contains("PATH="),
        "{env}"
    );
    // Cargo sets it for this test, and so it stands for all else that the server has.
    assert!(!env.contains("CARGO_MANIFEST_DIR"), "{env}");
    let message: Value = serde_json::from_str(&read("input")).expect("JSON");
    assert_eq!(message["settings"], json!({ "zone": "b" }));
    assert_eq!(message["verb"], "submit");
    assert_eq!(
        message["launch"]["argv"],
        json!(["supervise", "an argument"])
    );
    assert_eq!(message["launch"]["run_timeout_seconds"], 3600);
}

#[tokio::test]
async fn what_is_found_is_told_apart_from_nothing_and_from_not_knowing() {
    let found = async |answer: Value, code: i32| {
        let launcher = Launcher::answering(&answer, code);
        launcher.executor.find(&launch(launcher.path())).await
    };
    let attempts = Found::Attempts(vec![handle(json!(1)), handle(json!(2))]);
    assert_eq!(found(json!({ "handles": [1, 2] }), 0).await, Ok(attempts));
    assert_eq!(found(json!({ "handles": [] }), 0).await, Ok(Found::Absent));
    assert_eq!(
        found(json!({ "handles": null }), 0).await,
        Ok(Found::Unknowable)
    );
    assert_eq!(found(json!({}), 66).await, Ok(Found::Absent));
    assert_eq!(found(json!({}), 64).await, Ok(Found::Unknowable));
    assert!(found(json!({}), 75).await.is_err());
}

fn other(attempt: u32) -> Handle {
    let job: JobId = "019a0000-0000-7000-8000-0000000000cd"
        .parse()
        .expect("an id");
    Handle {
        launch_id: LaunchId { job, attempt },
        version: 1,
        data: Value::Null,
        place: None,
    }
}

#[tokio::test]
async fn each_attempt_is_answered_by_its_name_and_by_itself() {
    let name = |attempt| other(attempt).launch_id.to_string();
    let answer = json!({ "attempts": [
        { "launch_id": name(5), "phase": "exited", "code": 137, "cause": "out_of_memory", "reason": "the node says so" },
        { "launch_id": name(4), "phase": "hibernating" },
        { "launch_id": name(3), "error": "its node does not answer" },
        { "launch_id": name(1), "phase": "queued", "reason": " " },
        { "phase": "running" },
        { "launch_id": name(6), "phase": 7 },
    ] });
    let launcher = Launcher::answering(&answer, 0);
    let handles: Vec<Handle> = (1..=6).map(other).collect();
    let seen = launcher.executor.observe(&handles).await;
    let phase = |index: usize| seen[index].as_ref().map(|one| one.phase.clone());
    assert_eq!(phase(0), Ok(Phase::Queued));
    assert_eq!(seen[0].as_ref().expect("an answer").reason, None);
    assert!(seen[1].is_err(), "nothing was said of it");
    let error = seen[2].as_ref().expect_err("its error").to_string();
    assert_eq!(error, "its node does not answer");
    assert_eq!(phase(3), Ok(Phase::Unknown("hibernating".to_owned())));
    let exit = Exit {
        code: Some(137),
        signal: None,
        cause: Some(Cause::OutOfMemory),
    };
    assert_eq!(phase(4), Ok(Phase::Exited(exit)));
    assert!(seen[5].is_err(), "not to be understood");
}

#[tokio::test]
async fn no_answer_is_never_an_outcome() {
    for launcher in [
        Launcher::answering(&json!({ "attempts": [] }), 1),
        Launcher::answering(&json!("all well"), 0),
        Launcher::new("kill -KILL $$"),
    ] {
        let seen = launcher.executor.observe(&[other(1), other(2)]).await;
        assert!(
            seen.len() == 2 && seen.iter().all(Result::is_err),
            "{seen:?}"
        );
    }
}

#[tokio::test]
async fn verbs_that_a_launcher_does_not_know_are_done_without() {
    let launcher = Launcher::answering(&json!({}), 64);
    let executor = &launcher.executor;
    assert_eq!(executor.cleanup(&other(1)).await, Ok(()));
    assert_eq!(executor.engine_log(&other(1)).await, None);
    assert!(executor.check().await.is_ok());
    let gone = Launcher::answering(&json!({}), 66);
    let cancelled = gone.executor.cancel(&other(1), Duration::ZERO).await;
    assert_eq!(cancelled, Ok(CancelOutcome::AlreadyEnded));
}

#[test]
fn its_table_is_checked() {
    let mistakes = |text: &str| {
        let mut table = Table::parse(text).expect("a table");
        let context = BuildContext {
            name: "mine",
            folder: Path::new("/"),
            state_dir: Path::new("/"),
            wake: Arc::default(),
        };
        let built = Registry::default().build_kind("program", &mut table, &context);
        let mistakes = built.expect_err("mistakes");
        let mistakes = mistakes.iter().map(ToString::to_string);
        mistakes.collect::<Vec<_>>().join("\n")
    };
    assert!(mistakes("").contains("command: is missing"));
    assert!(mistakes("command = []").contains("must name a program"));
    let slow = mistakes("command = [\"x\"]\ncall_timeout = \"5m\"");
    assert!(
        slow.contains("line 2: call_timeout: must be at most"),
        "{slow}"
    );
    let unknown = mistakes("command = [\"x\"]\nenv = { A = 1 }\ncomand = 1");
    assert!(unknown.contains("line 3: comand: unknown key"), "{unknown}");
    assert!(
        unknown.contains("line 2: env.A: must be a text"),
        "{unknown}"
    );
}
