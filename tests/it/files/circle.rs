//! From a click to a command that finds its rows' files, with a server that may be killed on the way.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use trainhook::emulator::{Dataset, Fault, FaultKind, Timing};

use crate::{
    export::model,
    support::stack::{Stack, job_id, settings, wait_until, workspace},
};

/// Images, and a mask and an attachment here and there.
const FILES: &str = "export = { files = true, attachments = true }";

/// A file that a fault may hold back.
const HANGS: &str = "/files/media/shape-0030.png";

/// A server, and a click on a fresh run with the shapes; answers run and job.
async fn click(script: &str, settings: &str, fault: Option<Fault>) -> (Stack, String, String) {
    let executor = "[executors.local]\nkind = \"local\"\n";
    let stack =
        Stack::start_with(&format!("{executor}{}", model("shapes", script, settings))).await;
    if let Some(fault) = fault {
        stack.emulator.add_fault(fault);
    }
    let run = stack.new_run();
    stack.emulator.set_dataset(&run, Some(Dataset::shapes()));
    let id = job_id(&stack.click(&run, "shapes").await);
    (stack, run, id)
}

fn data(stack: &Stack, id: &str) -> PathBuf {
    stack.folder.path().join("jobs").join(id).join("data")
}

fn manifest(stack: &Stack, id: &str) -> Value {
    let text = fs::read(data(stack, id).join("manifest.json")).expect("a manifest");
    serde_json::from_slice(&text).expect("JSON")
}

/// Every place that the lines name holds a file; answers how many.
fn places(stack: &Stack, id: &str) -> usize {
    let data = data(stack, id);
    let mut places = 0;
    for split in ["training", "validation", "test"] {
        let text = fs::read_to_string(data.join(format!("{split}.ndjson"))).expect("a split file");
        for part in text.split("\"local_path\":\"").skip(1) {
            let place = part.split('"').next().expect("a place");
            assert!(data.join(place).is_file(), "{place}");
            places += 1;
        }
    }
    places
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_finds_the_files_of_its_rows() {
    let script = "ls $TRAINHOOK_DATA_DIR/files | wc -l > files";
    let (stack, run, id) = click(script, FILES, None).await;
    stack.told(&run, "COMPLETE").await;
    let manifest = manifest(&stack, &id);
    let files = usize::try_from(manifest["files"].as_u64().expect("a number")).expect("not many");
    assert!(files > 120 + 120 + 12, "{manifest}");
    assert_eq!(stack.lines("files")[0].trim(), files.to_string());
    assert_eq!(places(&stack, &id), files);
    assert_eq!(manifest["missing_file_count"], 0);
    let length = fs::metadata(data(&stack, &id).join("test.ndjson"))
        .expect("a split file")
        .len();
    assert_eq!(manifest["splits"]["test"]["bytes"], length);
    assert!(stack.folder.path().join("jobs/.media").is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_missing_fails_the_job_in_labelbox_or_stands_in_the_manifest() {
    let gone = || {
        let kind = FaultKind::Status {
            status: 404,
            body: None,
            headers: Vec::new(),
        };
        Some(Fault::once("/files/media/shape-0007.png", kind))
    };
    let (stack, run, _) = click("true", FILES, gone()).await;
    let told = stack.told(&run, "FAILED").await;
    let message = told
        .last()
        .and_then(|last| last.error_message.clone())
        .expect("a reason");
    assert!(
        message.contains("row_data of shape-0007 (answered 404 Not Found)"),
        "{message}"
    );
    let tolerant = FILES.replace("attachments", "max_missing_files = \"1%\", attachments");
    let (stack, run, id) = click("true", &tolerant, gone()).await;
    stack.told(&run, "COMPLETE").await;
    let manifest = manifest(&stack, &id);
    assert_eq!(manifest["missing_file_count"], 1);
    assert_eq!(manifest["missing_files"][0]["global_key"], "shape-0007");
    let list = &manifest["missing_file_list"];
    assert_eq!(
        (&list["file"], &list["rows"]),
        (&json!("missing_files.ndjson"), &json!(1))
    );
    let list = fs::read_to_string(data(&stack, &id).join("missing_files.ndjson")).expect("a list");
    let line: Value = serde_json::from_str(&list).expect("one line of JSON");
    assert_eq!(line, manifest["missing_files"][0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_tells_that_it_waits_for_files_and_goes_on_by_itself() {
    let refused = FaultKind::Status {
        status: 401,
        body: None,
        headers: Vec::new(),
    };
    let (stack, run, id) = click("true", FILES, Some(Fault::times("/masks", 16, refused))).await;
    wait_until("what the job waits for", || {
        let job = stack.job(&id);
        let waiting = job["job"]["waiting"].as_str()?;
        waiting.contains("check the key").then_some(())
    })
    .await;
    stack.told(&run, "COMPLETE").await;
    assert_eq!(manifest(&stack, &id)["missing_file_count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_while_files_come_in_goes_on_with_the_rest() {
    let hang = FaultKind::Hang {
        milliseconds: 600_000,
    };
    let fault = Fault::once(HANGS, hang);
    let (mut stack, run, id) = click("echo run >> runs", FILES, Some(fault)).await;
    let notes = stack
        .folder
        .path()
        .join("jobs")
        .join(&id)
        .join("server/files.ndjson");
    let hangs = || {
        let notes = fs::read_to_string(&notes).ok()?;
        let asked = stack.emulator.file_requests();
        (notes.lines().count() > 60 && asked.iter().any(|path| path == HANGS)).then_some(())
    };
    wait_until("notes of files, and one that hangs", hangs).await;
    stack.server.kill();
    let before = stack.emulator.file_requests().len();
    stack.restart().await;
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["run"]);
    let files = places(&stack, &id);
    assert_eq!(manifest(&stack, &id)["files"], files);
    assert!(stack.emulator.file_requests().len() - before < files);
    assert_eq!(stack.emulator.export_tasks(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_expired_while_the_server_was_away_are_had_anew() {
    let hold = Duration::from_secs(15);
    let timing = Timing {
        addresses_hold: hold,
        ..Timing::default()
    };
    let program = Path::new(env!("CARGO_BIN_EXE_trainhook"));
    let executor = "[executors.local]\nkind = \"local\"\n";
    let model = model("shapes", "echo run >> runs", FILES);
    let mut stack = Stack::start_timed(program, timing, |endpoint| {
        [
            &settings(),
            &workspace("main", "/", endpoint),
            executor,
            &model,
        ]
        .concat()
    })
    .await;
    let hang = FaultKind::Hang {
        milliseconds: 600_000,
    };
    stack.emulator.add_fault(Fault::once(HANGS, hang));
    let run = stack.new_run();
    stack.emulator.set_dataset(&run, Some(Dataset::shapes()));
    let id = job_id(&stack.click(&run, "shapes").await);
    let notes = stack.job_dir(&id).join("server/files.ndjson");
    let hangs = || {
        let notes = fs::read_to_string(&notes).ok()?;
        let asked = stack.emulator.file_requests();
        (notes.lines().count() > 60 && asked.iter().any(|path| path == HANGS)).then_some(())
    };
    wait_until("notes of files, and one that hangs", hangs).await;
    stack.server.kill();
    tokio::time::sleep_until((Instant::now() + hold).into()).await;
    let before = stack.emulator.file_requests().len();
    stack.restart().await;
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.emulator.export_tasks(), 2);
    assert_eq!(manifest(&stack, &id)["files"], places(&stack, &id));
    // What came before need not come again.
    let again = stack.emulator.file_requests().split_off(before);
    assert!(again.iter().any(|path| path == HANGS), "{again:?}");
    let first = "/files/media/shape-0000.png";
    assert!(again.iter().all(|path| path != first), "{again:?}");
    assert_eq!(stack.lines("runs"), ["run"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_stay_whole_when_the_server_is_killed_after_they_were_rewritten() {
    let (mut stack, run, id) = click("sleep 0.1", FILES, None).await;
    let is_written = || {
        data(&stack, &id)
            .join("manifest.json")
            .exists()
            .then_some(())
    };
    wait_until("the manifest", is_written).await;
    stack.server.kill();
    stack.restart().await;
    stack.told(&run, "COMPLETE").await;
    let files = places(&stack, &id);
    assert_eq!(manifest(&stack, &id)["files"], files);
}
