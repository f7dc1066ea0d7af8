//! All lines together: what only all of them show, and what lies on disk in the end.

use std::{fs, path::Path};

use serde_json::{Value, json};
use tempfile::TempDir;
use trainhook::{
    job::JobId,
    predictions::{By, Checker, Draft, Frozen, LINE_LIMIT, Problem, RejectedFile, Sources, freeze},
};

use super::{ontology, rows};

const JOB: &str = "019a0000-0000-7000-8000-000000000000";

struct Case {
    server: TempDir,
    draft: Draft,
}

/// Freezes these lines for a job, in chunks of so many.
fn frozen_for(job: &str, lines: &[u8], most_lines: u32) -> Case {
    let server = tempfile::tempdir().expect("a folder");
    let rows = rows();
    let mut checker = Checker::new(&ontology(), &rows);
    let job: JobId = job.parse().expect("an id");
    let draft = freeze(
        Sources::written(lines),
        &mut checker,
        job,
        (server.path(), most_lines),
    );
    Case {
        draft: draft.expect("frozen"),
        server,
    }
}

fn frozen(lines: &[String], most_lines: u32) -> Case {
    frozen_for(JOB, lines.join("\n").as_bytes(), most_lines)
}

fn remark(text: &str) -> String {
    json!({"data_row": "dr1", "name": "remark", "answer": text}).to_string()
}

/// Every line that is sent.
fn sent(server: &Path, frozen: &Frozen) -> Vec<Value> {
    let chunks = frozen
        .chunks
        .iter()
        .map(|chunk| chunk.read(server).expect("whole"));
    let lines = chunks.flat_map(|chunk| {
        let text = String::from_utf8(chunk).expect("UTF-8");
        text.split('\n')
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect::<Vec<_>>()
    });
    lines.collect()
}

fn listed(server: &Path) -> Vec<Problem> {
    let text = fs::read_to_string(RejectedFile::path(server)).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn chunks_hold_all_lines_in_order_and_a_manifest_says_so() {
    let lines: Vec<String> = (0..10).map(|n| remark(&n.to_string())).collect();
    let Case { server, draft } = frozen(&lines, 4);
    assert_eq!(Frozen::open(server.path()).expect("readable"), None);
    let kept = draft.keep().expect("kept");
    let found = Frozen::open(server.path())
        .expect("readable")
        .expect("there");
    assert_eq!(found, kept);
    let counts: Vec<u64> = found.chunks.iter().map(|chunk| chunk.lines).collect();
    assert_eq!(
        (found.lines, found.rejected, counts),
        (10, 0, vec![4, 4, 2])
    );
    let sent = sent(server.path(), &found);
    let answers: Vec<&str> = sent
        .iter()
        .filter_map(|line| line["answer"].as_str())
        .collect();
    assert_eq!(answers, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    let origins = found.chunks[1].origins(server.path()).expect("readable");
    let numbers: Vec<u32> = origins.iter().map(|origin| origin.line).collect();
    assert_eq!(numbers, [5, 6, 7, 8]);
    for (origin, line) in origins.iter().zip(&sent[4..]) {
        assert_eq!(
            origin.uuid.map(|uuid| uuid.to_string()).as_deref(),
            line["uuid"].as_str()
        );
    }
    assert!(listed(server.path()).is_empty());
    let mut names: Vec<String> = fs::read_dir(server.path().join("upload"))
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "c1.lines",
            "c1.ndjson",
            "c2.lines",
            "c2.ndjson",
            "c3.lines",
            "c3.ndjson",
            "frozen.json"
        ]
    );
}

#[test]
fn a_chunk_that_was_changed_is_not_sent() {
    let Case { server, draft } = frozen(&[remark("x")], 4);
    let frozen = draft.keep().expect("kept");
    let path = server.path().join("upload/c1.ndjson");
    let mut content = fs::read(&path).expect("readable");
    let last = content.len() - 3;
    content[last] ^= 1;
    fs::write(&path, &content).expect("writable");
    let refused = frozen.chunks[0].read(server.path()).expect_err("refused");
    assert!(refused.to_string().contains("was changed"), "{refused}");
    content.push(b'\n');
    fs::write(&path, &content).expect("writable");
    assert!(frozen.chunks[0].read(server.path()).is_err());
    fs::remove_file(&path).expect("there");
    assert!(frozen.chunks[0].read(server.path()).is_err());
}

#[test]
fn a_prediction_without_a_uuid_always_gets_the_same_one() {
    let lines = [remark("x"), remark("y"), remark("x"), remark("x")];
    let uuids = |job: &str| {
        let case = frozen_for(job, lines.join("\n").as_bytes(), 100);
        let lines = sent(case.server.path(), &case.draft.keep().expect("kept"));
        lines
            .iter()
            .map(|line| line["uuid"].as_str().expect("a uuid").to_owned())
            .collect::<Vec<_>>()
    };
    let first = uuids(JOB);
    assert_eq!(first, uuids(JOB));
    let mut distinct = first.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(
        distinct.len(),
        4,
        "the same prediction several times is several"
    );
    let other = uuids("019a0000-0000-7000-8000-000000000001");
    assert!(other.iter().all(|uuid| !first.contains(uuid)));
    let version = |uuid: &String| {
        uuid.parse::<uuid::Uuid>()
            .expect("a UUID")
            .get_version_num()
    };
    assert!(first.iter().all(|uuid| version(uuid) == 5));
}

#[test]
fn a_uuid_that_comes_again_is_rejected() {
    let line = |uuid: &str, text: &str| {
        json!({"uuid": uuid, "data_row": "dr1", "name": "remark", "answer": text}).to_string()
    };
    let uuid = "a71d65ca-102e-43b2-a083-6d9bfbf12d06";
    let lines = [
        line(uuid, "x"),
        remark("x"),
        line(&uuid.to_uppercase(), "y"),
    ];
    let Case { server, draft } = frozen(&lines, 100);
    assert_eq!((draft.frozen.lines, draft.frozen.rejected), (3, 1));
    let reason = format!("line 3: uuid {uuid} stands in an earlier line");
    assert_eq!(draft.frozen.first[0].describe(), reason);
    assert_eq!(listed(server.path())[0].describe(), reason);
}

#[test]
fn only_so_many_predictions_of_a_row_and_a_feature_are_sent() {
    let mut lines: Vec<String> = (0..5002).map(|n| remark(&n.to_string())).collect();
    lines.push(json!({"data_row": "dr2", "name": "remark", "answer": "x"}).to_string());
    lines.push(json!({"data_row": "dr1", "name": "weather", "answer": "sunny"}).to_string());
    // By its other name it is the same row.
    lines.push(json!({"global_key": "gk1", "name": "id-remark", "answer": "x"}).to_string());
    let Case { server, draft } = frozen(&lines, 100_000);
    assert_eq!(draft.frozen.rejected, 3);
    let list = listed(server.path());
    let numbers: Vec<Option<u32>> = list.iter().map(|problem| problem.line).collect();
    assert_eq!(numbers, [Some(5001), Some(5002), Some(5005)]);
    assert!(
        list[0]
            .reason
            .starts_with("more than 5000 predictions of one row")
    );
    let metrics: Vec<String> = (0..21)
        .map(|n| {
            json!({"data_row": "dr1", "metricName": format!("m{n}"), "metricValue": 1}).to_string()
        })
        .collect();
    let case = frozen(&metrics, 100);
    assert_eq!(case.draft.frozen.rejected, 1);
    assert_eq!(
        listed(case.server.path())[0].reason,
        "more than 20 metrics of one row"
    );
}

#[test]
fn what_is_rejected_is_listed_with_its_line_and_its_text() {
    let lines = ["", &remark("x"), "{broken", "", "  ", &remark("y"), "{}"].join("\r\n");
    let Case { server, draft } = frozen_for(JOB, lines.as_bytes(), 100);
    let list = listed(server.path());
    assert_eq!(
        (draft.frozen.lines, draft.frozen.rejected, list.len()),
        (4, 2, 2)
    );
    assert_eq!(
        (list[0].line, list[0].by, &*list[0].text),
        (Some(3), By::Trainhook, "{broken")
    );
    assert_eq!(list[1].line, Some(7));
    // The list stays, whatever becomes of the rest.
    draft.discard().expect("removed");
    assert_eq!(listed(server.path()).len(), 2);
    assert!(!server.path().join("upload.new").exists());
}

#[test]
fn a_line_without_an_end_fills_no_memory() {
    let mut lines = vec![b'x'; LINE_LIMIT + 100_000];
    lines.push(b'\n');
    lines.extend(remark("y").into_bytes());
    let case = frozen_for(JOB, &lines, 100);
    let frozen = &case.draft.frozen;
    assert_eq!((frozen.lines, frozen.rejected, frozen.sent()), (2, 1, 1));
    assert_eq!(
        frozen.first[0].describe(),
        "line 1: longer than 5000000 bytes"
    );
    assert!(listed(case.server.path())[0].text.len() <= 1000);
}

#[test]
fn nothing_is_frozen_of_nothing() {
    for nothing in ["", "\n\n  \n"] {
        let case = frozen_for(JOB, nothing.as_bytes(), 100);
        assert_eq!(case.draft.frozen, Frozen::default());
    }
}
