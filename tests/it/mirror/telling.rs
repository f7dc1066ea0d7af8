//! Bytes by offset: told twice, in pieces, with gaps.

use std::fs;

use sha2::{Digest, Sha256};
use trainhook::{job::LaunchId, job_dir::AttemptDir, mirror::hex};

use super::Site;
use crate::support::{
    raw_http::Answer,
    stack::{job_id, wait_until},
};

/// Tells something; answers how much of it the server has then.
async fn tell(site: &Site, launch_id: LaunchId, route: &str, body: &[u8]) -> u64 {
    let answer = put(site, launch_id, route, body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["have"].as_u64().expect("a number")
}

async fn put(site: &Site, launch_id: LaunchId, route: &str, body: &[u8]) -> Answer {
    let path = format!("/jobs/{launch_id}/{route}");
    site.ask("PUT", &path, &site.token(launch_id), body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn events_told_again_are_there_once() {
    let (site, _, launch_id) = Site::with_unclaimed_job("true").await;
    let id = launch_id.job.to_string();
    assert_eq!(
        tell(&site, launch_id, "events?offset=0", b"one\ntwo\n").await,
        8
    );
    assert_eq!(
        tell(&site, launch_id, "events?offset=0", b"one\ntwo\n").await,
        8
    );
    assert_eq!(
        tell(&site, launch_id, "events?offset=4", b"two\nthree\n").await,
        14
    );
    assert_eq!(
        tell(&site, launch_id, "events?offset=0", b"one\n").await,
        14
    );
    assert_eq!(
        tell(&site, launch_id, "events?offset=20", b"later\n").await,
        14,
        "something is missing"
    );
    assert_eq!(tell(&site, launch_id, "events?offset=0", b"").await, 14);
    assert_eq!(site.text(&id, "events.ndjson"), "one\ntwo\nthree\n");
    for query in ["", "?offset=", "?offset=-1", "?offset=x"] {
        assert_eq!(
            put(&site, launch_id, &format!("events{query}"), b"x")
                .await
                .status,
            400
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_told_again_is_there_once_and_may_have_gaps() {
    let (site, _, launch_id) = Site::with_unclaimed_job("true").await;
    let dir = AttemptDir::at(site.attempt(&launch_id.job.to_string()));
    assert_eq!(tell(&site, launch_id, "log?offset=0", b"begin").await, 5);
    assert_eq!(
        tell(&site, launch_id, "log?offset=0", b"beginning").await,
        9
    );
    assert_eq!(tell(&site, launch_id, "log?offset=2", b"gin").await, 9);
    assert_eq!(tell(&site, launch_id, "log?offset=100", b"end").await, 103);
    assert_eq!(
        tell(&site, launch_id, "log?offset=100", b"ending").await,
        106
    );
    let read = |from| dir.read_log(from, 1000).expect("a log");
    assert_eq!(read(0).bytes, b"beginning");
    assert_eq!(
        (read(9).from, read(9).bytes.as_slice()),
        (100, b"ending".as_slice())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_takes_its_place_when_all_of_it_is_there() {
    let (site, _, launch_id) = Site::with_unclaimed_job("true").await;
    let out = site.attempt(&launch_id.job.to_string()).join("out");
    let sum = hex(&Sha256::digest(b"whole"));
    let route = |offset: usize| format!("out/f?offset={offset}&size=5&sha256={sum}");
    assert_eq!(tell(&site, launch_id, &route(0), b"who").await, 3);
    assert!(!out.join("f").exists());
    assert_eq!(
        tell(&site, launch_id, &route(0), b"w").await,
        3,
        "go on from there"
    );
    assert_eq!(
        tell(&site, launch_id, &route(4), b"e").await,
        3,
        "something is missing"
    );
    assert_eq!(tell(&site, launch_id, &route(2), b"ole").await, 5);
    assert_eq!(fs::read(out.join("f")).expect("a file"), b"whole");
    assert_eq!(
        tell(&site, launch_id, &route(0), b"whole").await,
        5,
        "a repeat is fine"
    );
    // So is one of its last piece alone, whose answer was lost or came too late.
    assert_eq!(tell(&site, launch_id, &route(2), b"ole").await, 5);
    assert_eq!(tell(&site, launch_id, &route(4), b"e").await, 5);
    // Other bytes than were announced are asked for again.
    let route = format!("out/g?offset=0&size=5&sha256={sum}");
    assert_eq!(tell(&site, launch_id, &route, b"wrong").await, 0);
    assert!(!out.join("g").exists());
    assert_eq!(tell(&site, launch_id, &route, b"whole").await, 5);
    for route in [
        "out/h?offset=0&size=1&sha256=xyz",
        "out/h?offset=0",
        &format!("out/h?offset=3&size=5&sha256={sum}"),
    ] {
        assert_eq!(
            put(&site, launch_id, route, b"whole").await.status,
            400,
            "{route}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_is_seen_and_answered_with_the_wish_to_stop() {
    let (site, _, launch_id) = Site::with_running_job("").await;
    let id = launch_id.job.to_string();
    wait_until("the first beat", || {
        (!site.text(&id, "heartbeat").is_empty()).then_some(())
    })
    .await;
    let path = format!("/jobs/{launch_id}/heartbeat");
    let token = site.token(launch_id);
    let answer = site.ask("POST", &path, &token, br#"{"count": 77}"#).await;
    assert_eq!(
        (answer.status, answer.json()["cancel"].is_null()),
        (200, true)
    );
    assert_eq!(site.text(&id, "heartbeat").trim(), "00000000000000000077");
    fs::write(
        site.attempt(&id).join("cancel.json"),
        r#"{"grace_ms": 5, "reason": "enough"}"#,
    )
    .expect("it is writable");
    let answer = site.ask("POST", &path, &token, br#"{"count": 78}"#).await;
    assert_eq!(answer.json()["cancel"]["reason"], "enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_given_from_any_byte_on() {
    let (site, _, launch_id) = Site::with_unclaimed_job("true").await;
    let path = format!("/jobs/{launch_id}/files/webhook.json");
    let bearer = format!("Bearer {}", site.token(launch_id));
    let ask = async |range: &str| {
        let headers = [("Authorization", bearer.as_str()), ("Range", range)];
        crate::support::raw_http::ask(site.jobs(), "GET", &path, &headers, None).await
    };
    let whole = site.ask("GET", &path, &site.token(launch_id), b"").await;
    assert_eq!(whole.status, 200);
    let size = whole.body.len();
    let rest = ask("bytes=5-").await;
    assert_eq!((rest.status, rest.body.as_str()), (206, &whole.body[5..]));
    let range = format!("bytes 5-{}/{size}", size - 1);
    assert_eq!(rest.header("content-range"), Some(range.as_str()));
    assert_eq!(ask(&format!("bytes={size}-")).await.status, 416);
    assert_eq!(ask("bytes=99999999999-").await.status, 416);
    assert_eq!(ask("lines=1-2").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_supervisors_than_connections_are_all_heard() {
    let (site, _, first) = Site::with_running_job("max_connections = 1").await;
    let run = site.stack.new_run();
    let second = job_id(&site.stack.click(&run, "job").await);
    site.stack.wait_for_lines("runs", 2).await;
    for id in [first.job.to_string(), second] {
        let beat = || site.text(&id, "heartbeat");
        let before = wait_until("a beat", || Some(beat()).filter(|beat| !beat.is_empty())).await;
        wait_until("a further beat", || (beat() != before).then_some(())).await;
    }
    site.stack.go();
    site.stack.told(&run, "COMPLETE").await;
}
