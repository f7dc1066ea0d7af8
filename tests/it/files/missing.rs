//! Files that cannot be had, or not at once.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use trainhook::{config::Tolerance, dataset::Split, transfer::files::FilesError};

use super::desk::{Desk, image};
use crate::downloads::hostile::{Act, Hostile, head, redirect, whole};

/// Answers 404 where the path says `gone`, and a file elsewhere.
async fn half_gone() -> Hostile {
    Hostile::start("127.0.0.1", |_, request| {
        vec![Act::Send(match request.contains("gone") {
            true => head("404 Not Found", &[("content-length", "0")]),
            false => whole(b"content", &[]),
        })]
    })
    .await
}

fn rows(server: &Hostile, good: usize, gone: usize) -> Vec<Value> {
    let names = (0..good + gone).map(|at| match at < gone {
        true => format!("gone-{at}"),
        false => format!("good-{at}"),
    });
    names
        .map(|name| image(&name, &server.url(&format!("/{name}?signature=hidden"))))
        .collect()
}

fn refusal(result: Result<impl std::fmt::Debug, FilesError>) -> String {
    match result {
        Err(FilesError::Missing(text)) => text,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_files_fail_the_job_in_a_sentence() {
    let server = half_gone().await;
    let desk = Desk::new(&rows(&server, 6, 4));
    let text = refusal(desk.fetch().await);
    assert_eq!(
        text,
        "4 of 10 files of the data rows could not be had (max_missing_files: 0): \
         row_data of key of gone-0 (answered 404 Not Found), row_data of key of gone-1 (answered 404 Not Found), \
         row_data of key of gone-2 (answered 404 Not Found), …"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_may_be_missing_as_the_model_says() {
    let server = half_gone().await;
    for (tolerance, is_enough) in [
        (Tolerance::Count(3), false),
        (Tolerance::Count(4), true),
        (Tolerance::Share(3999), false),
        (Tolerance::Share(4000), true),
    ] {
        let desk = Desk::new(&rows(&server, 6, 4)).tolerating(tolerance);
        let result = desk.fetch().await;
        assert_eq!(result.is_ok(), is_enough, "{tolerance}");
        let Ok(report) = result else { continue };
        assert_eq!((report.wanted, report.here, report.missing), (10, 6, 4));
        assert_eq!(report.first_missing.len(), 4);
        let lines = desk.lines(Split::Training);
        let places = lines
            .iter()
            .filter(|line| line["data_row"]["local_path"].is_string());
        assert_eq!(places.count(), 6);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_bounded_and_the_count_is_not() {
    let server = half_gone().await;
    let desk = Desk::new(&rows(&server, 0, 250)).tolerating(Tolerance::Count(1000));
    let report = desk.fetch().await.expect("all may be missing");
    assert_eq!((report.missing, report.first_missing.len()), (250, 100));
    // Where enough are known, the rest is not asked for.
    let desk = Desk::new(&rows(&server, 0, 2000));
    let before = server.heads().len();
    refusal(desk.fetch().await);
    assert!(server.heads().len() - before < 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_too_long_or_leads_astray_is_missing() {
    let inside = redirect("http://169.254.169.254/?token=hidden");
    let server = Hostile::start("127.0.0.1", move |_, request| {
        vec![Act::Send(match request.contains("astray") {
            true => inside.clone(),
            false => whole(&vec![0; 1_000_001], &[]),
        })]
    })
    .await;
    let lines =
        ["astray", "long"].map(|id| image(id, &server.url(&format!("/{id}?signature=hidden"))));
    let desk = Desk::new(&lines).tolerating(Tolerance::Count(2));
    let report = desk.fetch().await.expect("both may be missing");
    let reasons: Vec<&str> = report
        .first_missing
        .iter()
        .map(|missing| missing.reason.as_str())
        .collect();
    assert!(reasons[0].contains("no public address"), "{reasons:?}");
    assert!(
        reasons[1].contains("longer than 1000000 bytes"),
        "{reasons:?}"
    );
    let journal = fs::read_to_string(desk.server().join("files.ndjson")).expect("a journal");
    assert!(!journal.contains("hidden"), "{journal}");
    assert_eq!(
        fs::read_dir(desk.data().join("files"))
            .expect("a folder")
            .count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_turns_out_to_be_too_long_is_asked_for_once() {
    let endless = [head("200 OK", &[]), vec![0; 1_000_001]].concat();
    let server = Hostile::answering("127.0.0.1", endless).await;
    let desk = Desk::new(&[image("a", &server.url("/"))]);
    let text = refusal(desk.fetch().await);
    assert!(text.contains("longer than 1000000 bytes"), "{text}");
    assert_eq!(server.heads().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_was_refused_late_has_expired() {
    let server = Hostile::answering(
        "127.0.0.1",
        head("403 Forbidden", &[("content-length", "0")]),
    )
    .await;
    let mut desk = Desk::new(&[image("a", &server.url("/"))]);
    assert!(!refusal(desk.fetch().await).contains("expired"));
    desk.exported_ago = SignedDuration::from_hours(2);
    desk.export_id = "task-2".to_owned();
    let text = refusal(desk.fetch().await);
    assert!(
        text.contains("120 minutes after the export its address has probably expired"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_addresses_are_wanted_where_the_refused_one_says_that_it_is_over() {
    let server = Hostile::answering(
        "127.0.0.1",
        head("403 Forbidden", &[("content-length", "0")]),
    )
    .await;
    let fetch = async |query: &str, renewable| {
        let mut desk = Desk::new(&[image("a", &server.url(query))]);
        desk.renewable = renewable;
        desk.exported_ago = SignedDuration::from_mins(10);
        desk.fetch().await
    };
    let minutes_ago = |minutes| {
        let end = Timestamp::now() - SignedDuration::from_mins(minutes);
        format!("/?Expires={}&Signature=x", end.as_second())
    };
    let over = minutes_ago(5);
    assert!(matches!(fetch(&over, true).await, Err(FilesError::Expired)));
    // An address that was over when the run was exported is its owner's, and no export makes it another one.
    let old = minutes_ago(20);
    let holds = minutes_ago(-5);
    for (query, renewable) in [(&*over, false), (&*old, true), (&*holds, true), ("/", true)] {
        let text = refusal(fetch(query, renewable).await);
        assert!(text.contains("answered 403"), "{query}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_a_moment_is_tried_again() {
    let server = Hostile::start("127.0.0.1", |before, _| {
        vec![Act::Send(match before {
            0 => head("503 Service Unavailable", &[("content-length", "0")]),
            _ => whole(b"content", &[]),
        })]
    })
    .await;
    let desk = Desk::new(&[image("a", &server.url("/"))]);
    desk.fetch().await.expect("it comes at last");
    assert_eq!(server.heads().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_cut_goes_on_where_it_was() {
    let body: Vec<u8> = (0..200_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let sent = std::sync::Arc::new(AtomicUsize::new(0));
    let (count, content) = (std::sync::Arc::clone(&sent), body.clone());
    let server = Hostile::start("127.0.0.1", move |_, request| {
        let from = request
            .split("range: bytes=")
            .nth(1)
            .and_then(|rest| rest.split('-').next()?.parse().ok());
        let from: usize = from.unwrap_or(0);
        let length = content.len();
        let range = format!("bytes {from}-{}/{length}", length - 1);
        let announced = (length - from).to_string();
        let headers = [
            ("etag", "\"v1\""),
            ("content-range", &range),
            ("content-length", &announced),
        ];
        let status = match from {
            0 => "200 OK",
            _ => "206 Partial Content",
        };
        // Never more than 70,000 bytes on one connection.
        let part = &content[from..length.min(from + 70_000)];
        count.fetch_add(part.len(), Ordering::Relaxed);
        vec![Act::Send(head(status, &headers)), Act::Send(part.to_vec())]
    })
    .await;
    let desk = Desk::new(&[image("a", &server.url("/"))]);
    desk.fetch().await.expect("it comes at last");
    let place = &desk.lines(Split::Training)[0]["data_row"]["local_path"];
    assert_eq!(desk.content(place), body);
    assert!(server.heads()[1].contains("if-range: \"v1\""));
    assert_eq!(
        (server.heads().len(), sent.load(Ordering::Relaxed)),
        (3, 200_000)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_meanwhile_begins_anew() {
    let server = Hostile::start("127.0.0.1", |before, _| match before {
        0 => vec![
            Act::Send(head(
                "200 OK",
                &[("etag", "\"v1\""), ("content-length", "100")],
            )),
            Act::Send(vec![b'1'; 50]),
        ],
        _ => vec![Act::Send(whole(b"second", &[("etag", "\"v2\"")]))],
    })
    .await;
    let desk = Desk::new(&[image("a", &server.url("/"))]);
    desk.fetch().await.expect("it comes at last");
    let place = &desk.lines(Split::Training)[0]["data_row"]["local_path"];
    assert_eq!(desk.content(place), b"second");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_wait_for_room_on_the_disk() {
    let server = Hostile::answering("127.0.0.1", whole(b"content", &[])).await;
    let mut desk = Desk::new(&[image("a", &server.url("/"))]);
    desk.min_free = u64::MAX / 4;
    match desk.fetch().await {
        Err(FilesError::Later { reason, .. }) => {
            assert!(reason.contains("wait for room"), "{reason}");
        }
        other => panic!("no room, but {other:?}"),
    }
    desk.min_free = 0;
    desk.fetch().await.expect("now there is room");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_no_row_is_named() {
    let desk = Desk::new(&[
        json!({ "data_row": { "id": "a", "row_data": "text" } }),
        json!([1, 2]),
    ]);
    match desk.fetch().await {
        Err(FilesError::Broken(text)) => {
            assert!(text.contains("training.ndjson, line 2"), "{text}");
        }
        other => panic!("no row, but {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_missing_is_listed_however_much_it_is() {
    let server = half_gone().await;
    let desk = Desk::new(&rows(&server, 2, 130)).tolerating(Tolerance::Count(130));
    // A server that was killed before it had written everything down does it again.
    desk.fetch().await.expect("as many may be missing");
    let report = desk.fetch().await.expect("the same again");
    assert_eq!((report.missing, report.first_missing.len()), (130, 100));
    let list = report.missing_list.expect("a list");
    let text = fs::read(desk.data().join(&list.file)).expect("the list");
    assert_eq!((list.rows, list.bytes), (130, text.len() as u64));
    let digest = Sha256::digest(&text);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(list.sha256, digest);
    let read = |line: &str| serde_json::from_str::<Value>(line).expect("a line of JSON");
    let lines: Vec<Value> = std::str::from_utf8(&text)
        .expect("text")
        .lines()
        .map(read)
        .collect();
    assert_eq!(lines.len(), 130);
    assert_eq!(
        lines[129],
        json!({
            "data_row": "gone-129", "global_key": "key of gone-129", "kind": "row_data",
            "reason": "answered 404 Not Found",
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_missing_the_list_is_empty() {
    let server = half_gone().await;
    let desk = Desk::new(&rows(&server, 2, 0));
    let report = desk.fetch().await.expect("all is there");
    let list = report.missing_list.expect("a list");
    assert_eq!((list.rows, list.bytes), (0, 0));
    assert_eq!(
        fs::read(desk.data().join(list.file)).expect("it is there"),
        b""
    );
}
