//! What models say to kinds of executors, and what would be submitted for them.

use std::fs;

use crate::support::stack::{API_KEY, SECRET, model, trainhook_in, workspace};

/// Exit code and all output of a command over these executors and models.
pub(super) fn run(arguments: &[&str], rest: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = workspace("main", "/", "http://127.0.0.1:1/graphql") + rest;
    for (name, text) in [
        ("models.toml", &*file),
        ("secret", SECRET),
        ("key", API_KEY),
    ] {
        fs::write(folder.path().join(name), text).expect("the folder is writable");
    }
    let output = trainhook_in(folder.path(), arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let text = text(&output.stdout) + &text(&output.stderr);
    (output.status.code(), text)
}

const LOCAL: &str = "[executors.local]\nkind = \"local\"\n";
const PROGRAM: &str = "[executors.mine]\nkind = \"program\"\ncommand = [\"./launcher\"]\n";

#[test]
fn a_model_speaks_to_kinds_that_the_file_has() {
    let spoken = model("job", "true", "program = { queue = \"a100\" }");
    let (code, text) = run(&["check"], &format!("{LOCAL}{PROGRAM}{spoken}"));
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run(&["check"], &format!("{LOCAL}{spoken}"));
    assert_eq!(code, Some(2), "{text}");
    let expected = ":12: models.job.program: no executor of this file is of kind \"program\"";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("1 mistake"), "{text}");
}

#[test]
fn a_kind_refuses_what_it_does_not_understand_on_its_line() {
    let spoken = model("job", "true", "[models.job.local]\nnice = 7");
    let (code, text) = run(&["check"], &format!("{LOCAL}{spoken}"));
    assert_eq!(code, Some(2), "{text}");
    let expected = ":13: models.job.local.nice: unknown key; none are known here";
    assert!(text.contains(expected), "{text}");
    let (code, text) = run(&["serve"], &format!("{LOCAL}{spoken}"));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_plan_shows_what_would_be_submitted_without_its_secrets() {
    let settings = "env = { PLAIN = \"text\", TOKEN = { file = \"token\" } }\nenv_pass = [\"HOME\"]\n\
                    resources = { gpus = 2 }\nprogram = { queue = \"a100\" }";
    let spoken = model("job", "true", settings);
    let spoken = spoken.replace("executor = \"local\"", "executor = \"mine\"");
    let (code, text) = run(&["plan", "job"], &format!("{PROGRAM}{spoken}"));
    assert_eq!(code, Some(0), "{text}");
    for expected in [
        "/launcher submit",
        "\"PLAIN\": \"text\"",
        "\"TOKEN\": \"[redacted]\"",
        "\"HOME\": \"[redacted]\"",
        "\"queue\": \"a100\"",
        "\"gpus\": 2",
        "\"supervise\"",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!text.contains(API_KEY), "{text}");
    assert!(
        text.contains("# job runs, by its supervisor on mine:"),
        "{text}"
    );
    let (code, text) = run(&["plan", "jog"], &format!("{PROGRAM}{spoken}"));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("those that exist: job"), "{text}");
}

#[test]
fn a_plan_names_what_stands_for_the_servers_id() {
    let container = "[executors.local]\nkind = \"container\"\nimage = \"busybox\"\n";
    let (code, text) = run(
        &["plan", "job"],
        &format!("{container}{}", model("job", "true", "")),
    );
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("\"trainhook.server\": \"the-servers-id\""),
        "{text}"
    );
}
