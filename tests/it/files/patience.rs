//! What fails and may come yet: how long it is waited for.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use trainhook::{
    backoff::Backoff,
    config::Tolerance,
    transfer::files::{FilesContext, FilesError, FilesReport, Patience},
};

use super::desk::{Desk, context, context_at, image, no_cache};
use crate::downloads::hostile::{Act, Hostile, head, whole};

/// Waits for ever, but rests shortly.
const LONG: Patience = Patience {
    beside_others: Duration::MAX,
    alone: Duration::MAX,
    rests: Backoff {
        first: Duration::from_millis(20),
        most: Duration::from_millis(40),
    },
};

fn patient(patience: Patience) -> FilesContext {
    context(&no_cache()).patient(patience)
}

/// An address at which nobody listens.
fn dead() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    format!("http://{address}/")
}

#[track_caller]
fn waits(result: Result<FilesReport, FilesError>) -> String {
    match result {
        Err(FilesError::Later { reason, .. }) => reason,
        other => panic!("no reason to wait: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_for_the_end_of_an_outage() {
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let server = Hostile::start("127.0.0.1", move |_, _| {
        vec![Act::Send(match over.load(Ordering::Relaxed) {
            true => whole(b"content", &[]),
            false => head("503 Service Unavailable", &[("content-length", "0")]),
        })]
    })
    .await;
    let lines = ["a", "b", "c"].map(|id| image(id, &server.url(&format!("/{id}"))));
    let (desk, context) = (Desk::new(&lines), patient(LONG));
    let host = server.url("");
    for _ in 0..2 {
        assert_eq!(
            waits(desk.fetch_with(&context).await),
            format!("no file comes from {host}: answered 503 Service Unavailable")
        );
    }
    is_over.store(true, Ordering::Relaxed);
    let report = desk.fetch_with(&context).await.expect("all is there");
    assert_eq!((report.here, report.missing), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_address_is_missing_while_others_answer() {
    let server = Hostile::answering("127.0.0.1", whole(b"content", &[])).await;
    let good = (0..100).map(|at| image(&format!("good-{at}"), &server.url(&format!("/{at}"))));
    let lines: Vec<Value> = std::iter::once(image("dead", &dead()))
        .chain(good)
        .collect();
    let desk = Desk::new(&lines).tolerating(Tolerance::Count(1));
    let patience = Patience {
        beside_others: Duration::from_millis(500),
        ..LONG
    };
    let report = desk
        .fetch_with(&patient(patience))
        .await
        .expect("one may be missing");
    assert_eq!((report.here, report.missing), (100, 1));
    let reason = &report.first_missing[0].reason;
    assert!(reason.starts_with("the connection failed"), "{reason}");
}

/// A host that answers `odd` to so many requests for `/odd`, and gives its last file only after some of them.
async fn host_of_one_odd_file(odd: &'static str, times: u64) -> Hostile {
    let asked = AtomicU64::new(0);
    Hostile::start("127.0.0.1", move |_, request| {
        let empty = [("content-length", "0")];
        let before = match request.contains("/odd") {
            true => asked.fetch_add(1, Ordering::Relaxed),
            false => asked.load(Ordering::Relaxed),
        };
        let answer = match (request.contains("/odd"), request.contains("/last")) {
            (true, _) if before < times => head(odd, &empty),
            (_, true) if before < 2 => head("503 Not Yet", &empty),
            _ => whole(b"content", &[]),
        };
        vec![Act::Send(answer)]
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_fails_alone_is_missing_soon() {
    let server = host_of_one_odd_file("500 Oops", u64::MAX).await;
    let lines = ["odd", "a", "last"].map(|id| image(id, &server.url(&format!("/{id}"))));
    let desk = Desk::new(&lines).tolerating(Tolerance::Count(1));
    let report = desk.fetch_with(&patient(LONG)).await.expect("one may be");
    assert_eq!((report.here, report.missing), (2, 1));
    let reason = &report.first_missing[0].reason;
    assert_eq!(reason, "answered 500 Internal Server Error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_host_wishes_fewer_calls_is_waited_for() {
    let server = host_of_one_odd_file("429 Too Many Requests", 8).await;
    let lines = ["odd", "a", "last"].map(|id| image(id, &server.url(&format!("/{id}"))));
    let report = Desk::new(&lines).fetch_with(&patient(LONG)).await;
    let report = report.expect("all come");
    assert_eq!((report.here, report.missing), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_waited_for_for_ever() {
    let desk = Desk::new(&[image("dead", &dead())]).tolerating(Tolerance::Count(1));
    let context = patient(LONG);
    waits(desk.fetch_with(&context).await);
    let alone = Duration::ZERO;
    let context = patient(Patience { alone, ..LONG });
    let report = desk.fetch_with(&context).await.expect("it may be missing");
    assert_eq!(report.missing, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_not_asked_sooner_than_it_wishes() {
    let server = Hostile::start("127.0.0.1", |before, _| {
        let wish = [("retry-after", "1"), ("content-length", "0")];
        vec![Act::Send(match before {
            0 => head("429 Too Many Requests", &wish),
            _ => whole(b"content", &[]),
        })]
    })
    .await;
    let begun = Instant::now();
    let desk = Desk::new(&[image("a", &server.url("/"))]);
    desk.fetch_with(&patient(LONG)).await.expect("it comes");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.heads().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_refused_is_waited_for() {
    for status in ["401 Unauthorized", "403 Forbidden"] {
        let labelbox =
            Hostile::answering("127.0.0.1", head(status, &[("content-length", "0")])).await;
        let mut line = json!({ "data_row": { "id": "a", "row_data": "text" } });
        let objects = json!([{ "name": "o", "mask": { "url": labelbox.url("/mask") } }]);
        line["experiments"] = json!({ "m": { "runs": { "r": { "labels": [{ "annotations": { "objects": objects } }] } } } });
        let endpoint = labelbox.url("/graphql");
        let desk = Desk::new(&[line]).at(endpoint.clone());
        let context = context_at(&no_cache(), Some(&endpoint));
        let reason = waits(desk.fetch_with(&context).await);
        assert_eq!(
            reason,
            format!("Labelbox answered {status} to the API key where masks lie: check the key")
        );
        assert_eq!(labelbox.heads().len(), 1);
    }
}
