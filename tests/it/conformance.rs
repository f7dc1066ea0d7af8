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

/// `tests/live.sh` itself is for people with a key; here a second emulator plays the real Labelbox.
#[tokio::test]
async fn the_check_against_the_real_labelbox_knows_alike_from_different() {
    let (_emulator, ready) = start_emulator().await;
    let (passed, out) = live(&ready).await;
    assert!(passed, "{out}");
    assert!(out.ends_with("\n0 differences\n"), "{out}");
    assert!(out.matches("same ").count() > 30, "{out}");

    let ready_json: serde_json::Value = serde_json::from_str(&ready).expect("JSON");
    let control = ready_json["control"].as_str().expect("an address");
    let faults = format!("{control}/faults");
    let fault = serde_json::json!({"operation": "updateModelRunConfig", "kind": {"status": {"status": 502}}});
    let client = trainhook::outbound::client_builder()
        .build()
        .expect("a client");
    let set = client
        .post(faults)
        .json(&fault)
        .send()
        .await
        .expect("an answer");
    assert!(set.status().is_success(), "{set:?}");
    let (passed, out) = live(&ready).await;
    assert!(!passed, "{out}");
    assert!(out.contains("DIFFERENT  a config"), "{out}");
}

/// Runs `tests/live.sh` with the emulator of `ready` in Labelbox's place.
async fn live(ready: &str) -> (bool, String) {
    let ready: serde_json::Value = serde_json::from_str(ready).expect("JSON");
    let text = |key: &str| ready[key].as_str().expect("a text").to_owned();
    let venv = python_with_sdk().ancestors().nth(2).map(Path::to_owned);
    let checks = Command::new(top().join("tests/live.sh"))
        .env("LABELBOX_API_KEY", API_KEY)
        .env("LABELBOX_ENDPOINT", text("graphql"))
        .env("LABELBOX_MODEL_ID", text("modelId"))
        .env("TRAINHOOK", env!("CARGO_BIN_EXE_trainhook"))
        .env("TRAINHOOK_TEST_VENV", venv.expect("a folder"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let checks = timeout(CHECKS_LIMIT, checks).await.expect("an end");
    let checks = checks.expect("bash starts");
    let out = String::from_utf8_lossy(&checks.stdout).into_owned();
    (checks.status.success(), out)
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
