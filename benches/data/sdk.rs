//! The same run from the same emulator by Labelbox's own SDK.

use std::{path::Path, process::Stdio};

use serde_json::Value;
use trainhook::emulator::Emulator;

use crate::{
    measured::{Measured, row},
    server::{KEY, processor_seconds},
};

/// None where the SDK is not installed.
pub(crate) async fn measure(emulator: &Emulator, run: &str, rows: u64) -> Option<Measured> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = top.join("target/conformance-venv/bin/python");
    if !python.exists() {
        row(
            "the same by Labelbox's own SDK",
            "not measured: `tests/run` installs it",
        );
        return None;
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    let before = processor_seconds("self");
    let output = tokio::process::Command::new(python)
        .arg(top.join("benches/data/sdk_export.py"))
        .args([emulator.graphql_url().as_str(), KEY, run])
        .arg(file.path())
        .stdin(Stdio::null())
        .output()
        .await
        .expect("python starts");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["rows"], rows);
    let number = |key: &str| told[key].as_f64().expect(key);
    Some(Measured {
        rows_seconds: number("rows_seconds"),
        seconds: number("seconds"),
        processor: number("processor"),
        emulator: processor_seconds("self") - before,
        peak: told["peak"].as_u64().expect("a number"),
    })
}
