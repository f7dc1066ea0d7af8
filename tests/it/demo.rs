//! The demo, as a newcomer runs it: one command in any folder.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::support::stack::trainhook_in;

/// A demo in an empty folder, with a folder of its own for temporary files.
struct Demo {
    here: TempDir,
    temporary: TempDir,
}

impl Demo {
    fn new() -> Self {
        let folder = || tempfile::tempdir().expect("a folder for the test");
        Self {
            here: folder(),
            temporary: folder(),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainhook"));
        command
            .arg("demo")
            .current_dir(self.here.path())
            .env("TMPDIR", self.temporary.path())
            .stdin(Stdio::null());
        command
    }

    fn leaves_nothing_behind(&self) {
        for folder in [&self.here, &self.temporary] {
            let left: Vec<_> = fs::read_dir(folder.path()).expect("it is there").collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_demo_trains_a_real_model_and_shows_what_labelbox_was_told() {
    let demo = Demo::new();
    let output = demo.command().output().expect("the program starts");
    let (shown, errors) = said(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}{errors}");
    assert!(shown.contains("accuracy 0.9"), "{shown}");
    let told = [
        "EXPORTING_DATA",
        "PREPARING_DATA",
        "TRAINING_MODEL",
        "COMPLETE",
    ];
    let places = told.map(|status| shown.find(status).expect(status));
    assert!(places.is_sorted(), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colours without a terminal");
    assert_eq!(errors, "");
    demo.leaves_nothing_behind();
}

#[test]
fn without_python3_the_demo_says_so() {
    let demo = Demo::new();
    let output = demo.command().env("PATH", demo.here.path()).output();
    let output = output.expect("the program starts");
    let (_, errors) = said(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("python3"), "{errors}");
    demo.leaves_nothing_behind();
}

#[test]
fn an_interrupted_demo_stops_its_training_and_leaves_nothing_behind() {
    let demo = Demo::new();
    let mut command = demo.command();
    let mut running = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let shown = BufReader::new(running.stdout.take().expect("it is piped"));
    let mut lines = shown.lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("training")), "it trains");
    let pid = running.id().to_string();
    let signalled = Command::new("kill").args(["-INT", &pid]).status();
    assert!(signalled.expect("kill is there").success());
    let rest: Vec<String> = lines.collect();
    let status = running.wait().expect("it ends");
    assert_eq!(status.code(), Some(1), "{rest:?}");
    demo.leaves_nothing_behind();
}

#[test]
fn a_demo_that_is_kept_goes_into_no_folder_that_is_there() {
    let demo = Demo::new();
    fs::create_dir(demo.here.path().join("mine")).expect("the folder is writable");
    let output = trainhook_in(demo.here.path(), &["demo", "--keep", "mine"]);
    let (_, errors) = said(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("mine"), "{errors}");
}

#[test]
fn other_data_wants_a_model_of_ones_own() {
    let demo = Demo::new();
    let output = trainhook_in(demo.here.path(), &["demo", "--dataset", "shapes"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && told.contains("--model"),
        "{told}"
    );
    demo.leaves_nothing_behind();
}
