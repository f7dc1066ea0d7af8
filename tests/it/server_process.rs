//! The server as a process: starts that fail with a clear reason, and a stop that leaves jobs alone.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Output};

use crate::support::{
    script::write_program,
    stack::{
        API_KEY, SECRET, Stack, UNTIL_GO, job_id, model, settings, statuses, trainhook_in,
        wait_until, workspace,
    },
};

fn refused(output: &Output, code: i32, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

/// A folder with settings of which `change` makes something else.
fn folder(change: impl FnOnce(String) -> String) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = settings()
        + &workspace("main", "/", "http://127.0.0.1:1/graphql")
        + "[executors.local]\nkind = \"local\"\n"
        + &model("job", "true", "");
    for (name, text) in [
        ("models.toml", change(file).as_str()),
        ("secret", SECRET),
        ("key", API_KEY),
    ] {
        fs::write(folder.path().join(name), text).expect("the folder is writable");
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_one_state_dir_is_refused_and_the_first_goes_on() {
    let stack = Stack::start(&model("job", "true", "")).await;
    let second = trainhook_in(stack.folder.path(), &["serve"]);
    let pid = stack.server.child.id().to_string();
    refused(&second, 1, &["state", "another", &pid]);
    let run = stack.new_run();
    stack.click(&run, "job").await;
    stack.told(&run, "COMPLETE").await;
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it listens").to_string();
    for key in ["\nlisten", "\nadmin_listen"] {
        let free = format!("{key} = \"127.0.0.1:0\"");
        let folder = folder(|file| file.replace(&free, &format!("{key} = \"{address}\"")));
        refused(
            &trainhook_in(folder.path(), &["serve"]),
            1,
            &[&address, "is taken"],
        );
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    for key in ["state_dir", "jobs_dir"] {
        let folder = folder(|file| {
            file.replace("[server]", &format!("[server]\n{key} = \"blocked/{key}\""))
        });
        fs::write(folder.path().join("blocked"), "a file").expect("the folder is writable");
        refused(&trainhook_in(folder.path(), &["serve"]), 1, &["blocked"]);
    }
}

#[test]
fn settings_with_mistakes_start_nothing() {
    let broken = folder(|file| file.replace("kind = \"local\"", "kind = \"locla\""));
    refused(
        &trainhook_in(broken.path(), &["serve"]),
        2,
        &["models.toml:", "locla"],
    );
    assert!(!broken.path().join("state").exists());
    let without = tempfile::tempdir().expect("a folder for the test");
    refused(
        &trainhook_in(without.path(), &["serve"]),
        2,
        &["models.toml"],
    );
}

#[test]
fn a_webhook_secret_that_cannot_be_read_is_named() {
    let folder = folder(|file| file);
    fs::remove_file(folder.path().join("secret")).expect("it is there");
    refused(
        &trainhook_in(folder.path(), &["serve"]),
        2,
        &["main", "secret"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_writes_is_its_users_alone() {
    let stack = Stack::start(&model("job", UNTIL_GO, "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    let (job, state) = (format!("jobs/{id}"), "state");
    for path in [
        state,
        "state/admin.token",
        "state/server.json",
        "jobs",
        &job,
        &format!("{job}/a1/request.json"),
    ] {
        let mode = fs::metadata(stack.folder.path().join(path))
            .expect(path)
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{path}: {mode:o}");
    }
    stack.go();
    stack.told(&run, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_is_missing_holds_its_jobs_until_it_is_back() {
    let mut stack = Stack::start(&model("job", UNTIL_GO, "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    stack.server.stop().await;
    let file = stack.folder.path().join("models.toml");
    let whole = fs::read_to_string(&file).expect("it is there");
    fs::write(
        &file,
        whole
            .replace("executors.local", "executors.other")
            .replace("executor = \"local\"", "executor = \"other\""),
    )
    .expect("it is writable");
    stack.restart().await;
    stack.go();
    let waiting = wait_until("the reason", || {
        stack.job(&id)["job"]["waiting"].as_str().map(str::to_owned)
    })
    .await;
    assert!(
        waiting.contains("executor local is not configured"),
        "{waiting}"
    );
    stack.server.stop().await;
    fs::write(&file, whole).expect("it is writable");
    stack.restart().await;
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"], "one run of the command");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_asked_to_stop_exits_0_and_leaves_its_jobs_running() {
    let mut stack = Stack::start(&model("job", UNTIL_GO, "")).await;
    let run = stack.new_run();
    stack.click(&run, "job").await;
    stack.wait_for_lines("runs", 1).await;
    let status = stack.server.stop().await;
    assert_eq!(status.code(), Some(0), "{}", stack.server.log_text());
    stack.server.logged("jobs that run go on").await;
    stack.restart().await;
    stack.go();
    let timeline = stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"], "one run of the command");
    assert_eq!(statuses(&timeline).last(), Some(&"COMPLETE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_state_dir_is_deleted_acknowledges_nothing_more() {
    let all = |state: &Path| fs::remove_dir_all(state);
    // The lock stays, and with it whoever looks at that alone.
    let database = |state: &Path| fs::remove_file(state.join("trainhook.db"));
    let other = |state: &Path| {
        fs::copy(state.join("trainhook.db"), state.join("copy"))?;
        fs::rename(state.join("copy"), state.join("trainhook.db"))
    };
    let losses: [fn(&Path) -> std::io::Result<()>; 3] = [all, database, other];
    for lose in losses {
        let mut stack = Stack::start(&model("job", "true", "")).await;
        lose(&stack.folder.path().join("state")).expect("it is there");
        let status = wait_until("the server's end", || {
            stack.server.child.try_wait().expect("it is our child")
        })
        .await;
        assert_eq!(status.code(), Some(71), "{}", stack.server.log_text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_ends_neither_server_nor_job() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let program = env!("CARGO_BIN_EXE_trainhook");
    // The test waits for this line; nothing else of the log is ever written.
    let script = format!("echo listening for Labelbox >&2\nexec {program} \"$@\" 2>/dev/full\n");
    let program = write_program(folder.path(), "unheard", &script);
    let file = |endpoint: &str| {
        let executor = "[executors.local]\nkind = \"local\"\n";
        let models = model("digits", "echo run >> runs", "");
        settings() + &workspace("main", "/", endpoint) + executor + &models
    };
    let stack = Stack::start_program(&program, file).await;
    let info = stack.folder.path().join("state/server.json");
    wait_until("the server's start", || info.exists().then_some(())).await;
    let run = stack.new_run();
    stack.click(&run, "digits").await;
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["run"]);
}
