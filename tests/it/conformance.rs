//! Labelbox's own Python SDK against `trainhook emulate`, the real binary.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

const API_KEY: &str = "conformance-key";

/// The emulator must be ready within this.
const START_LIMIT: Duration = Duration::from_secs(20);

/// All checks together; importing the SDK alone can take many seconds on a busy machine.
const CHECKS_LIMIT: Duration = Duration::from_secs(180);

#[tokio::test]
async fn labelboxs_own_sdk_does_its_round_trips() {
    let python = python_with_sdk();
    let (_emulator, ready) = start_emulator().await;
    let script = top().join("tests/conformance/sdk.py");
    let checks = Command::new(python)
        .arg(script)
        .arg(ready)
        .env("EMULATOR_API_KEY", API_KEY)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let checks = timeout(CHECKS_LIMIT, checks).await.expect("an end");
    let checks = checks.expect("python starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, errors) = (text(&checks.stdout), text(&checks.stderr));
    assert!(checks.status.success(), "{out}\n{errors}");
    assert!(
        out.contains("all checks passed with labelbox 7.17.0"),
        "{out}"
    );
}

/// The interpreter of the environment that `tests/run` makes, or of the one that `TRAINHOOK_TEST_VENV` names.
fn python_with_sdk() -> PathBuf {
    let made = || top().join("target/conformance-venv");
    let venv = std::env::var_os("TRAINHOOK_TEST_VENV").map_or_else(made, PathBuf::from);
    let python = venv.join("bin/python");
    assert!(
        python.exists(),
        "there is no {}: run tests/run, which creates it",
        python.display()
    );
    python
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The emulator, which ends when it is dropped, and the line that it prints when it is ready.
async fn start_emulator() -> (Child, String) {
    let mut emulator = Command::new(env!("CARGO_BIN_EXE_trainhook"))
        .args(["emulate", "--json", "--api-key", API_KEY])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts");
    let stdout = emulator.stdout.take().expect("a pipe");
    let mut lines = BufReader::new(stdout).lines();
    let line = timeout(START_LIMIT, lines.next_line()).await;
    let line = line.expect("a line in time").expect("text");
    (emulator, line.expect("a line before the end"))
}
