//! How fast predictions are checked and frozen, and how much memory that takes: `cargo bench --bench predictions`.
//!
//! Rates are by the processor time of the one thread that does it, so that a busy machine changes little.
//!
//! `TRAINHOOK_LINES` says how many (a million if it is not set). Each kind is measured in a process of its own.

use std::{
    fs::{self, File},
    io::{BufReader, BufWriter, Write},
    path::Path,
    process::Command,
};

use serde_json::json;
use trainhook::{
    dataset::{Ontology, RowHead, RowIndex, RowIndexWriter, Split, name_hash},
    job::JobId,
    predictions::{Checker, Sources, freeze},
};

const KINDS: [&str; 4] = ["answers", "boxes", "own uuids", "all the same"];

fn main() {
    let lines = std::env::var("TRAINHOOK_LINES").ok();
    let lines: u64 = lines
        .and_then(|lines| lines.parse().ok())
        .unwrap_or(1_000_000);
    match std::env::var("TRAINHOOK_KIND") {
        Ok(kind) => measure(&kind, lines),
        Err(_) => {
            println!(
                "| {lines} predictions | lines/s of a core | MB/s | resident memory |\n|---|---|---|---|"
            );
            let program = std::env::current_exe().expect("our own path");
            for kind in KINDS {
                let run = Command::new(&program).env("TRAINHOOK_KIND", kind).status();
                assert!(run.expect("it starts").success(), "{kind}");
            }
        }
    }
}

fn measure(kind: &str, lines: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("predictions.ndjson");
    write(&file, kind, lines);
    let index = folder.path().join("rows.index");
    write_rows(&index);
    let bytes = fs::metadata(&file).expect("there").len();
    let begun = processor_time();
    let rows = RowIndex::open(&index).expect("readable");
    let mut checker = Checker::new(&ontology(), &rows);
    let source = BufReader::with_capacity(64 * 1024, File::open(&file).expect("readable"));
    let job: JobId = "019a0000-0000-7000-8000-000000000000"
        .parse()
        .expect("an id");
    let draft = freeze(
        Sources::written(source),
        &mut checker,
        job,
        (folder.path(), 20_000),
    )
    .expect("frozen");
    let seconds = processor_time() - begun;
    let frozen = draft.keep().expect("kept");
    assert_eq!(frozen.lines, lines);
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let (rate, speed) = (lines as f64 / seconds, bytes as f64 / seconds / 1e6);
    println!("| {kind} | {rate:.0} | {speed:.0} | {} MB |", peak() / 1000);
}

/// What this thread has had of a processor, in seconds.
fn processor_time() -> f64 {
    let times = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    let nanoseconds = times
        .split_whitespace()
        .next()
        .and_then(|time| time.parse::<f64>().ok());
    nanoseconds.expect("a number") / 1e9
}

/// The most memory this process has had, in kB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}

fn write(path: &Path, kind: &str, lines: u64) {
    let mut file = BufWriter::new(File::create(path).expect("writable"));
    for n in 0..lines {
        let key = format!("row-{:09}", n * 7919 % 1_000_000);
        let line = match kind {
            "answers" => {
                json!({"global_key": key, "name": "kind", "answer": "b", "confidence": 0.5})
            }
            "boxes" => json!({"dataRow": {"globalKey": key}, "name": "dog", "confidence": 0.875,
                "bbox": {"top": 12.5, "left": n % 100, "height": 100.25, "width": 63.125}}),
            "own uuids" => json!({"uuid": uuid::Uuid::from_u128(u128::from(n) << 40).to_string(),
                "dataRow": {"globalKey": key}, "name": "kind", "answer": {"name": "b", "confidence": 0.5}}),
            _ => json!({"global_key": "row-000000000", "name": "kind", "answer": "b"}),
        };
        writeln!(file, "{line}").expect("writable");
    }
    file.into_inner()
        .expect("written")
        .sync_all()
        .expect("on disk");
}

fn ontology() -> Ontology {
    let option =
        |name: &str| json!({"name": name, "schema_id": format!("id-{name}"), "value": name});
    let options: Vec<_> = ["a", "b", "c", "d"].into_iter().map(option).collect();
    let ontology = json!({
        "id": "o", "name": "bench",
        "tools": [{"name": "dog", "schema_id": "id-dog", "kind": "rectangle"}],
        "classifications": [{"name": "kind", "schema_id": "id-kind", "kind": "radio", "options": options}],
    });
    serde_json::from_value(ontology).expect("an ontology")
}

fn write_rows(index: &Path) {
    let file = BufWriter::new(File::create(index).expect("writable"));
    let mut rows = RowIndexWriter::begin(file).expect("writable");
    for n in 0..1_000_000 {
        let row = json!({"data_row": {"id": format!("cl0{n:09}"), "global_key": format!("row-{n:09}")},
            "media_attributes": {"width": 640, "height": 480}});
        let line = row.to_string();
        let row = RowHead::read(line.as_bytes()).expect("a row");
        rows.add(&row, name_hash(row.id()), Split::Test)
            .expect("written");
    }
    rows.file().flush().expect("written");
}
