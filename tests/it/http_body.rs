//! Bodies: too slow, too long, in chunks, and broken.

use std::time::Duration;

use crate::support::{
    labelbox_door::{MAX_BODY, RUN, SECRET, Settings, door, run, signed},
    raw_http::{Client, ask, request},
};

#[tokio::test]
async fn a_slow_body_is_answered_408_and_cut_off() {
    let door = door(Settings {
        body_time: Duration::from_millis(300),
        ..Settings::default()
    })
    .await;
    let mut client = Client::connect(door.address).await;
    let request = run();
    client.send(&request[..request.len() - 1]).await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (408, "body_too_slow")
    );
    client.closed().await;
    assert!(door.accepted().is_empty());
}

#[tokio::test]
async fn an_announced_body_over_the_limit_is_answered_without_reading_it() {
    let door = door(Settings::default()).await;
    let mut client = Client::connect(door.address).await;
    let length = (MAX_BODY + 1).to_string();
    client
        .send(request(
            "POST",
            "/model_run",
            &[("Content-Length", &length)],
            None,
        ))
        .await;
    refused_as_too_large(client).await;
}

#[tokio::test]
async fn a_sender_that_does_not_stop_still_reads_its_413() {
    let door = door(Settings::default()).await;
    let body = vec![b' '; 8 * MAX_BODY as usize];
    let signature = signed(SECRET, &body);
    let headers = [("X-Hub-Signature", signature.as_str())];
    let answer = ask(door.address, "POST", "/model_run", &headers, Some(&body)).await;
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn a_chunked_body_counts_as_it_comes() {
    let door = door(Settings::default()).await;
    let mut client = Client::connect(door.address).await;
    let head = request(
        "POST",
        "/model_run",
        &[
            ("X-Hub-Signature", "sha1="),
            ("Transfer-Encoding", "chunked"),
        ],
        None,
    );
    client.send(head).await;
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    for _ in 0..=MAX_BODY / 0x1000 {
        client.send(&chunk).await;
    }
    // The last chunk never comes; the answer does.
    refused_as_too_large(client).await;
}

#[tokio::test]
async fn a_chunked_body_within_the_limit_is_taken() {
    let door = door(Settings::default()).await;
    let mut client = Client::connect(door.address).await;
    let signature = signed(SECRET, RUN.as_bytes());
    let headers = [
        ("X-Hub-Signature", signature.as_str()),
        ("Transfer-Encoding", "chunked"),
    ];
    client
        .send(request("POST", "/model_run", &headers, None))
        .await;
    let (one, two) = RUN.split_at(10);
    client
        .send(format!(
            "a\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
            two.len()
        ))
        .await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(door.accepted()[0].webhook, RUN);
}

#[tokio::test]
async fn malformed_chunks_are_the_clients_mistake() {
    let door = door(Settings::default()).await;
    let mut client = Client::connect(door.address).await;
    let headers = [
        ("X-Hub-Signature", "sha1="),
        ("Transfer-Encoding", "chunked"),
    ];
    client
        .send(request("POST", "/model_run", &headers, None))
        .await;
    client.send("zzz\r\n").await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (400, "body_broken")
    );
}

async fn refused_as_too_large(mut client: Client) {
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (413, "body_too_large")
    );
    client.closed().await;
}
