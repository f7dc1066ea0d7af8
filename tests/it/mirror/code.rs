//! `files`: what travels with a job, on any engine.

use std::{fs, os::unix::fs::symlink, path::Path};

use serde_json::Value;

use super::Site;
use crate::support::stack::{Stack, job_id, model, trainhook_in};

const FILES: &str = "workdir = \"src\"\nfiles = [\"train.sh\", \"lib/\"]";

/// Writes the model's files below `src`.
fn write_files(folder: &Path) {
    fs::create_dir_all(folder.join("src/lib/__pycache__")).expect("the folder is writable");
    for (name, text) in [
        (
            "train.sh",
            ". lib/words.sh; say; pwd > $TRAINHOOK_OUT_DIR/place; ls lib > $TRAINHOOK_OUT_DIR/lib",
        ),
        ("lib/words.sh", "say() { echo first edition; }"),
        ("lib/__pycache__/x.pyc", "cache"),
        ("other.txt", "stays"),
    ] {
        fs::write(folder.join("src").join(name), text).expect("the folder is writable");
    }
}

fn check(folder: &Path) -> String {
    let output = trainhook_in(folder, &["check"]);
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A settings file is refused while its files are missing, so they are written before the server starts: into the
/// folder that `src` leads to.
fn settled(source: &Path) -> String {
    FILES.replace("\"src\"", &format!("{:?}", source.join("src")))
}

fn request(attempt: &Path) -> Value {
    let text = fs::read(attempt.join("request.json")).expect("a request");
    serde_json::from_slice(&text).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_need_not_be_on_the_machine_that_runs_it() {
    let source = tempfile::tempdir().expect("a folder");
    write_files(source.path());
    let site = Site::start(&model("job", ". ./train.sh", &settled(source.path()))).await;
    let run = site.stack.new_run();
    let id = job_id(&site.stack.click(&run, "job").await);
    site.stack.told(&run, "COMPLETE").await;
    assert_eq!(site.text(&id, "log/output.log"), "first edition\n");
    assert_eq!(
        site.text(&id, "out/lib"),
        "words.sh\n",
        "caches stay behind"
    );
    let place = site.text(&id, "out/place");
    assert!(
        place.contains("/node/") && place.trim().ends_with("/code"),
        "{place}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_edit_touches_no_job() {
    let source = tempfile::tempdir().expect("a folder");
    write_files(source.path());
    let blocker = model("first", crate::support::stack::UNTIL_GO, "");
    let stack =
        Stack::start(&(blocker + &model("job", ". ./train.sh", &settled(source.path())))).await;
    for _ in 0..2 {
        let run = stack.new_run();
        stack.click(&run, "first").await;
    }
    stack.wait_for_lines("runs", 2).await;
    let (run, id) = stack.click_in_turn("job").await;
    fs::write(
        source.path().join("src/lib/words.sh"),
        "say() { echo second edition; }",
    )
    .expect("it is writable");
    stack.go();
    stack.told(&run, "COMPLETE").await;
    let attempt = stack.folder.path().join("jobs").join(&id).join("a1");
    let log = fs::read_to_string(attempt.join("log/output.log")).expect("a log");
    assert_eq!(log, "first edition\n");
    let request = request(&attempt);
    let code = request["code"].as_array().expect("a list");
    let paths: Vec<&str> = code
        .iter()
        .filter_map(|file| file["path"].as_str())
        .collect();
    assert_eq!(paths, ["lib/words.sh", "train.sh"]);
    assert!(
        code.iter()
            .all(|file| file["sha256"].as_str().is_some_and(|sum| sum.len() == 64))
    );
    assert!(
        request["workdir"]
            .as_str()
            .is_some_and(|path| path.ends_with("a1/code"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_gone_at_the_click_fail_the_job_before_anything_runs() {
    let source = tempfile::tempdir().expect("a folder");
    write_files(source.path());
    let stack = Stack::start(&model("job", "echo ran >> runs", &settled(source.path()))).await;
    fs::remove_file(source.path().join("src/train.sh")).expect("it is there");
    let run = stack.new_run();
    stack.click(&run, "job").await;
    let timeline = stack.told(&run, "FAILED").await;
    let message = timeline
        .last()
        .and_then(|entry| entry.error_message.clone());
    assert!(
        message
            .expect("a reason")
            .contains("train.sh: there is no such file below the workdir")
    );
    assert!(stack.lines("runs").is_empty());
}

#[test]
fn check_tells_which_files_cannot_travel() {
    let folder = tempfile::tempdir().expect("a folder");
    write_files(folder.path());
    symlink("/etc", folder.path().join("src/link")).expect("a link");
    fs::create_dir(folder.path().join("src/many")).expect("a folder");
    for n in 0..2001 {
        fs::write(folder.path().join(format!("src/many/{n}")), "").expect("it is writable");
    }
    let file = |files: &str| {
        let workspace = crate::support::stack::workspace("main", "/", "http://127.0.0.1:1/graphql");
        let executor = "[executors.local]\nkind = \"local\"\n";
        let model = model(
            "job",
            "true",
            &format!("workdir = \"src\"\nfiles = [{files}]"),
        );
        fs::write(
            folder.path().join("models.toml"),
            workspace + executor + &model,
        )
        .expect("it is writable");
        check(folder.path())
    };
    for (files, text) in [
        ("\"train.sh\", \"../models.toml\"", "leaves the workdir"),
        ("\"/etc/passwd\"", "leaves the workdir"),
        ("\"trian.sh\"", "trian.sh: there is no such file"),
        ("\"link\"", "link: is a link"),
        ("\"link/passwd\"", "is a link, or behind one"),
        ("\"many\"", "more than 2000 files"),
        ("\".\"", "more than 2000 files"),
    ] {
        let said = file(files);
        assert!(
            said.contains("models.toml:13: models.job.files: ") && said.contains(text),
            "{files}: {said}"
        );
    }
    fs::create_dir(folder.path().join("src/own")).expect("a folder");
    symlink("../../secret", folder.path().join("src/own/x")).expect("a link");
    assert!(file("\"own\"").contains("own/x: is a link"));
    let said = file("\"train.sh\", \"./lib/\"");
    assert!(!said.contains("mistake"), "{said}");
}

#[test]
fn check_and_serve_refuse_an_executor_that_nobody_would_hear() {
    let folder = tempfile::tempdir().expect("a folder");
    let workspace = crate::support::stack::workspace("main", "/", "http://127.0.0.1:1/graphql");
    let executor = "[executors.local]\nkind = \"local\"\nmirror = \"node\"\n";
    let file = workspace + executor + &model("job", "true", "");
    fs::write(folder.path().join("models.toml"), file).expect("it is writable");
    for (name, text) in [
        ("secret", crate::support::stack::SECRET),
        ("key", crate::support::stack::API_KEY),
    ] {
        fs::write(folder.path().join(name), text).expect("it is writable");
    }
    for command in ["check", "serve"] {
        let output = trainhook_in(folder.path(), &[command]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("models.toml:7: executors.local.kind: shares no files"),
            "{said}"
        );
    }
}
