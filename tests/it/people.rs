//! The commands for people, as child processes.

use std::{fs, process::Command};

use serde_json::Value;

use crate::support::stack::{
    API_KEY, SECRET, Stack, UNTIL_GO, job_id, model, settings, trainhook_in, wait_until, workspace,
};

/// What a command printed, and its exit code.
struct Said {
    code: Option<i32>,
    out: String,
    errors: String,
}

fn say(stack: &Stack, arguments: &[&str]) -> Said {
    let output = trainhook_in(stack.folder.path(), arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said {
        code: output.status.code(),
        out: text(&output.stdout),
        errors: text(&output.stderr),
    }
}

/// The command fails with this code, says this, and prints nothing that could be taken for a result.
fn refused(said: &Said, code: i32, text: &str) {
    assert_eq!(said.code, Some(code), "{}", said.errors);
    assert!(said.errors.contains(text), "{}", said.errors);
    assert_eq!(said.out, "");
}

async fn stack() -> Stack {
    let quick = model("quick", "echo first; echo last", "title = \"Quick one\"");
    Stack::start(&(model("slow", UNTIL_GO, "") + &quick)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_commands_say_how_to_start_one() {
    let mut stack = stack().await;
    stack.server.stop().await;
    for command in [
        &["jobs"][..],
        &["reports"],
        &["start", "quick", "--model-run", "r"],
    ] {
        refused(&say(&stack, command), 1, "trainhook serve");
    }
    refused(
        &say(&stack, &["jobs", "--config", "none.toml"]),
        2,
        "none.toml",
    );
    let send = [
        "send",
        "models",
        "--url",
        "http://127.0.0.1:1/",
        "--config",
        "models.toml",
    ];
    refused(&say(&stack, &send), 1, "no answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_trained_without_the_button() {
    let stack = stack().await;
    assert_eq!(say(&stack, &["jobs"]).out, "no jobs\n");
    let run = stack.new_run();
    let said = say(&stack, &["start", "Quick one", "--model-run", &run]);
    assert!(
        said.out.ends_with("is accepted\n"),
        "{}{}",
        said.out,
        said.errors
    );
    stack.told(&run, "COMPLETE").await;
    let listed = say(&stack, &["jobs"]).out;
    assert!(
        listed.contains("succeeded") && listed.contains(&run),
        "{listed}"
    );
    assert!(!listed.contains('\u{1b}'), "no colours without a terminal");
    let shown = say(&stack, &["jobs", "show", &run]).out;
    for word in ["succeeded", "Quick one", "accepted", "COMPLETE"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    assert_eq!(say(&stack, &["jobs", "logs", &run]).out, "first\nlast\n");
    refused(
        &say(&stack, &["start", "slwo", "--model-run", &run]),
        1,
        "slow",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_named_by_either_end_of_its_id() {
    let stack = stack().await;
    let (one, two) = (stack.new_run(), stack.new_run());
    let id = job_id(&stack.click(&one, "Quick one").await);
    job_id(&stack.click(&two, "Quick one").await);
    stack.told(&one, "COMPLETE").await;
    stack.told(&two, "COMPLETE").await;
    for name in [&id, &id[id.len() - 8..], &one] {
        let shown = say(&stack, &["jobs", "show", name, "--json"]).out;
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        assert_eq!(shown["job"]["id"], Value::from(id.as_str()), "{name}");
    }
    // Ids of one moment begin alike.
    refused(&say(&stack, &["jobs", "show", &id[..8]]), 1, "fits 2 jobs");
    refused(&say(&stack, &["jobs", "show", "zzzz"]), 1, "no job");
    refused(&say(&stack, &["jobs", "show", "ab"]), 2, "4 characters");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_program_reads_is_json() {
    let stack = stack().await;
    let run = stack.new_run();
    stack.click(&run, "slow").await;
    stack.wait_for_lines("runs", 1).await;
    let url = format!(
        "http://{}/",
        stack.server.info()["listen"].as_str().expect("an address")
    );
    for command in [
        &["jobs", "list", "--json"][..],
        &["jobs", "--json", "--live"],
        &["jobs", "show", &run, "--json"],
        &["reports", "list", "--all", "--json"],
        &["start", "slow", "--model-run", &run, "--json"],
        &[
            "send",
            "models",
            "--url",
            &url,
            "--config",
            "models.toml",
            "--json",
        ],
        &["jobs", "cancel", &run, "--json"],
    ] {
        let said = say(&stack, command);
        assert_eq!(said.code, Some(0), "{command:?}: {}", said.errors);
        let json: Value =
            serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{command:?}: {}", said.out));
        assert!(json.is_object(), "{json}");
    }
    stack.told(&run, "FAILED").await;
    let retried = say(&stack, &["jobs", "retry", &run, "--json"]).out;
    let retried: Value = serde_json::from_str(&retried).expect("JSON");
    assert_eq!(retried["duplicate"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_as_labelbox_makes_them_print_the_answer() {
    let stack = stack().await;
    let url = format!(
        "http://{}/",
        stack.server.info()["listen"].as_str().expect("an address")
    );
    let send = |call: &[&str]| {
        let place = ["--url", &url, "--config", "models.toml"];
        say(&stack, &[&["send"], call, &place].concat())
    };
    let models = send(&["models"]);
    assert!(
        models.out.starts_with("200\n") && models.out.contains("Quick one"),
        "{}",
        models.out
    );
    let run = stack.new_run();
    let accepted = send(&[
        "model-run",
        "--model-type",
        "Quick one",
        "--model-run",
        &run,
    ]);
    assert!(accepted.out.contains("jobId"), "{}", accepted.out);
    stack.told(&run, "COMPLETE").await;
    let unknown = send(&["model-run", "--model-type", "none", "--model-run", &run]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.out.contains("Quick one"), "{}", unknown.out);
}

#[test]
fn every_command_explains_itself() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let help = |command: &[&str]| {
        let output = trainhook_in(folder.path(), &[command, &["--help"]].concat());
        assert_eq!(output.status.code(), Some(0), "{command:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let all = help(&[]);
    for (command, words) in [
        (&["demo"][..], "--keep"),
        (&["serve"], "--config"),
        (&["check"], "--config"),
        (&["emulate"], "--listen"),
        (&["start"], "--model-run"),
        (&["event"], "metric"),
        (&["send", "models"], "--secret-env"),
        (&["send", "model-run"], "--model-type"),
        (&["jobs", "list"], "--state"),
        (&["jobs", "show"], "--json"),
        (&["jobs", "logs"], "--follow"),
        (&["jobs", "cancel"], "<ID>"),
        (&["jobs", "retry"], "<ID>"),
        (&["reports", "list"], "--all"),
        (&["reports", "resend"], "<ID>"),
        (&["reports", "drop"], "<ID>"),
    ] {
        assert!(all.contains(command[0]), "{all}");
        let text = help(command);
        assert!(text.contains(words), "{command:?}: {text}");
    }
    assert!(!all.contains("supervise"), "only executors call it: {all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_logs_name_job_and_run_in_fields() {
    let stack = stack().await;
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = settings()
        + &workspace("main", "/", &stack.emulator.graphql_url())
        + "[executors.local]\nkind = \"local\"\n"
        + &model("quick", "true", "");
    for (name, text) in [
        ("models.toml", file.as_str()),
        ("secret", SECRET),
        ("key", API_KEY),
    ] {
        fs::write(folder.path().join(name), text).expect("the folder is writable");
    }
    let log = fs::File::create(folder.path().join("log")).expect("the folder is writable");
    let mut server = Command::new(env!("CARGO_BIN_EXE_trainhook"))
        .args(["serve", "--log-format", "json"])
        .current_dir(folder.path())
        .stderr(log)
        .spawn()
        .expect("the program starts");
    wait_until("the server", || {
        folder
            .path()
            .join("state/server.json")
            .exists()
            .then_some(())
    })
    .await;
    let run = stack.new_run();
    let started = trainhook_in(folder.path(), &["start", "quick", "--model-run", &run]);
    assert!(started.status.success(), "{started:?}");
    stack.told(&run, "COMPLETE").await;
    server.kill().expect("it runs");
    server.wait().expect("it ends");
    let text = fs::read_to_string(folder.path().join("log")).expect("a log");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let of_run = lines
        .iter()
        .filter(|line| line["model_run_id"] == run.as_str());
    let of_run: Vec<&Value> = of_run.collect();
    assert!(of_run.len() >= 3, "{text}");
    assert!(
        of_run.iter().all(|line| line["job_id"].is_string()),
        "{text}"
    );
}
