//! The files of an attempt's folder: whatever stands there, none of it breaks us, and what we wrote reads as we wrote it.

use std::{fs, path::PathBuf};

use jiff::Timestamp;
use proptest::{
    prelude::{Just, Strategy, any, prop_oneof},
    sample::Index,
};
use serde_json::Value;
use trainhook::job_dir::{AttemptDir, ExitRecord};
use uuid::Uuid;

use super::{always, bytes, damaged, json};
use crate::support::attempts::Attempt;

fn records(attempt: &Attempt) -> impl Strategy<Value = ExitRecord> + use<> {
    let launch_id = attempt.request.launch_id;
    let end = prop_oneof![
        any::<i32>().prop_map(|code| (Some(code), None)),
        (1..64).prop_map(|signal| (None, Some(signal))),
    ];
    (
        end,
        any::<[bool; 6]>(),
        any::<Option<String>>(),
        any::<u128>(),
    )
        .prop_map(
            move |((code, signal), flags, reason, instance)| ExitRecord {
                launch_id,
                instance: Uuid::from_u128(instance),
                code,
                signal,
                start_error: None,
                outputs_refused: None,
                asked_to_stop: flags[0],
                run_timeout: flags[1],
                out_of_memory: flags[2],
                wants_retry: flags[3],
                keeper_lost: flags[4],
                interrupted: flags[5],
                reason,
                started_at: Timestamp::UNIX_EPOCH,
                ended_at: Timestamp::UNIX_EPOCH,
            },
        )
}

/// The files that are read as records, each with one that was good.
fn good_files(dir: &AttemptDir, record: &ExitRecord) -> Vec<(PathBuf, Vec<u8>)> {
    let launch_id = record.launch_id;
    dir.revoke(launch_id, "given up").expect("a claim");
    vec![
        (
            dir.exit(),
            serde_json::to_vec(record).expect("a record is JSON"),
        ),
        (dir.claim(), fs::read(dir.claim()).expect("a claim")),
        (dir.request(), fs::read(dir.request()).expect("a request")),
        (
            dir.cancel(),
            br#"{"cause":"cancelled","actor":"ann","at":"2026-01-01T00:00:00Z"}"#.to_vec(),
        ),
        (dir.path().join("heartbeat"), b"17\n".to_vec()),
    ]
}

#[test]
fn a_record_reads_as_it_was_written() {
    let attempt = Attempt::of(&["true"]);
    let dir = attempt.dir();
    always(records(&attempt), |record| {
        fs::write(dir.exit(), serde_json::to_vec(&record).expect("JSON")).expect("a file");
        assert_eq!(dir.read_exit().expect("a record"), Some(record));
    });
}

#[test]
fn a_success_is_code_0_and_nothing_that_speaks_against_it() {
    let attempt = Attempt::of(&["true"]);
    always(records(&attempt), |record| {
        let succeeded = record.code == Some(0) && !record.run_timeout;
        assert_eq!(record.cause().is_none(), succeeded, "{record:?}");
        assert!(!record.describe().is_empty());
    });
}

#[test]
fn no_bytes_in_a_record_break_its_reader() {
    let attempt = Attempt::of(&["true"]);
    let dir = attempt.dir();
    let record = ExitRecord {
        launch_id: attempt.request.launch_id,
        instance: Uuid::nil(),
        code: Some(3),
        signal: None,
        start_error: None,
        outputs_refused: None,
        asked_to_stop: false,
        run_timeout: false,
        out_of_memory: false,
        wants_retry: false,
        keeper_lost: false,
        interrupted: false,
        reason: Some("no images of class 3".to_owned()),
        started_at: Timestamp::UNIX_EPOCH,
        ended_at: Timestamp::UNIX_EPOCH,
    };
    for (path, good) in good_files(&dir, &record) {
        let object: Value = serde_json::from_slice(&good).expect("JSON");
        let at = any::<Index>();
        let twisted = (Just(object), at, json()).prop_map(twist);
        let contents = prop_oneof![damaged(Just(good)), twisted, bytes()];
        always(contents, |content| {
            fs::write(&path, content).expect("a file");
            // Read or refused: both are answers, a panic is none.
            let _ = dir.read_exit().map(|record| record.map(|it| it.describe()));
            let _ = (dir.read_claim(), dir.read_request(), dir.read_cancel());
            let _ = dir.read_heartbeat();
        });
    }
}

/// The same object with another value of one of its keys.
fn twist((mut object, at, value): (Value, Index, Value)) -> Vec<u8> {
    if let Value::Object(map) = &mut object {
        let at = at.index(map.len());
        if let Some((_, old)) = map.iter_mut().nth(at) {
            *old = value;
        }
    }
    object.to_string().into_bytes()
}
