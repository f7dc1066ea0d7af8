//! The accept loop: slow, huge, silent and half-gone clients, and the end of it all.

use std::time::Duration;

use trainhook::http::listener::{BindError, Limits, bind};

use crate::support::{
    labelbox_door::{Door, MAX_BODY, SECRET, Settings, signed, workspace},
    raw_http::{Client, PATIENCE, ask, request},
};

const SHORT: Duration = Duration::from_millis(300);

async fn door(settings: Settings) -> Door {
    Door::open(vec![workspace("main", "/", &[SECRET], &["ner"])], settings).await
}

fn limits() -> Limits {
    Settings::default().limits
}

fn ping() -> Vec<u8> {
    request("GET", "/ping", &[], None)
}

/// A signed POST of `body`.
fn run(body: &str) -> Vec<u8> {
    let signature = signed(SECRET, body.as_bytes());
    request(
        "POST",
        "/model_run",
        &[("X-Hub-Signature", &signature)],
        Some(body.as_bytes()),
    )
}

const RUN: &str = r#"{"modelRunId":"r1","modelType":"ner"}"#;

#[tokio::test]
async fn a_taken_port_is_named_in_the_refusal() {
    let door = door(Settings::default()).await;
    let refused = bind(door.address).await.expect_err("two on one port");
    assert!(matches!(refused, BindError::Taken { address } if address == door.address));
    assert!(refused.to_string().contains(&door.address.to_string()));
}

#[tokio::test]
async fn an_address_of_another_machine_is_refused() {
    let refused = bind("192.0.2.1:8080".parse().expect("an address")).await;
    assert!(
        matches!(refused, Err(BindError::NotOurs { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn half_a_head_is_cut_off() {
    let header_timeout = SHORT;
    let door = door(Settings {
        limits: Limits {
            header_timeout,
            ..limits()
        },
        ..Settings::default()
    })
    .await;
    let mut client = Client::connect(door.address).await;
    client.send("GET /ping HTTP/1.1\r\nHost: x\r\n").await;
    client.closed().await;
}

#[tokio::test]
async fn an_idle_connection_gives_its_slot_back() {
    let limits = Limits {
        header_timeout: SHORT,
        max_connections: 1,
        ..limits()
    };
    let door = door(Settings {
        limits,
        ..Settings::default()
    })
    .await;
    let mut idle = Client::connect(door.address).await;
    idle.send(ping()).await;
    assert_eq!(idle.answer().await.body, "\"pong\"");
    let mut silent = Client::connect(door.address).await;
    let mut waiting = Client::connect(door.address).await;
    waiting.send(ping()).await;
    assert_eq!(waiting.answer().await.status, 200);
    idle.closed().await;
    silent.closed().await;
}

#[tokio::test]
async fn a_client_that_takes_no_answers_is_cut_off() {
    let limits = Limits {
        header_timeout: SHORT,
        max_connections: 1,
        ..limits()
    };
    let door = door(Settings {
        limits,
        ..Settings::default()
    })
    .await;
    let mut greedy = Client::connect(door.address).await;
    let many = ping().repeat(1000);
    let flood = async { while greedy.try_send(&many).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, flood)
        .await
        .expect("the flood is refused");
    assert_eq!(
        ask(door.address, "GET", "/ping", &[], None).await.status,
        200
    );
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let door = door(Settings::default()).await;
    let mut client = Client::connect(door.address).await;
    for _ in 0..3 {
        client.send(ping()).await;
        assert_eq!(client.answer().await.status, 200);
        client.send(request("GET", "/nope", &[], None)).await;
        assert_eq!(client.answer().await.status, 404);
    }
}

#[tokio::test]
async fn one_connection_too_many_waits_and_is_served_after() {
    let limits = Limits {
        max_connections: 2,
        ..limits()
    };
    let door = door(Settings {
        limits,
        gate: 0,
        ..Settings::default()
    })
    .await;
    let (mut first, mut second) = (
        Client::connect(door.address).await,
        Client::connect(door.address).await,
    );
    first.send(run(RUN)).await;
    second.send(run(RUN)).await;
    door.intake
        .arrived
        .acquire_many(2)
        .await
        .expect("both arrive")
        .forget();
    let mut third = Client::connect(door.address).await;
    third.send(run(RUN)).await;
    door.intake.gate.add_permits(1);
    let served = tokio::select! {
        answer = first.answer() => { drop(first); answer }
        answer = second.answer() => { drop(second); answer }
    };
    assert_eq!(served.status, 200);
    door.intake.gate.add_permits(2);
    assert_eq!(third.answer().await.status, 200);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_the_clients_mistake() {
    let door = door(Settings::default()).await;
    let long = "x".repeat(40 * 1024);
    let answer = ask(door.address, "GET", "/ping", &[("X-Long", &long)], None).await;
    assert_eq!(answer.status, 431);
    let many: Vec<(&str, &str)> = vec![("X-Many", "1"); 100];
    assert_eq!(
        ask(door.address, "GET", "/ping", &many, None).await.status,
        431
    );
    let path = format!("/{}", "x".repeat(70 * 1024));
    let answer = ask(door.address, "GET", &path, &[], None).await;
    assert!((400..500).contains(&answer.status), "{answer:?}");
}

#[tokio::test]
async fn what_is_not_http_is_the_clients_mistake() {
    let door = door(Settings::default()).await;
    for nonsense in [
        "hello\r\n\r\n",
        "GET /ping HTTP/9.9\r\n\r\n",
        "GET /ping HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ] {
        let mut client = Client::connect(door.address).await;
        client.send(nonsense).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 400, "{nonsense:?}");
    }
}

#[tokio::test]
async fn a_slow_body_is_answered_408_and_cut_off() {
    let door = door(Settings {
        body_time: SHORT,
        ..Settings::default()
    })
    .await;
    let mut client = Client::connect(door.address).await;
    let request = run(RUN);
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
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (413, "body_too_large")
    );
    client.closed().await;
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
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (413, "body_too_large")
    );
    client.closed().await;
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

#[tokio::test]
async fn half_sent_requests_do_not_hold_up_the_end() {
    // The limits are those of production or longer: it is not they that end these connections.
    let door = door(Settings::default()).await;
    let address = door.address;
    let mut silent = Client::connect(address).await;
    let mut half_head = Client::connect(address).await;
    half_head.send("GET /models HTTP/1.1\r\nHost:").await;
    let mut idle = Client::connect(address).await;
    idle.send(ping()).await;
    assert_eq!(idle.answer().await.status, 200);
    let began = std::time::Instant::now();
    door.begin_shutdown();
    door.stopped().await;
    assert!(began.elapsed() < PATIENCE / 2, "the drain was waited for");
    for client in [&mut silent, &mut half_head, &mut idle] {
        client.closed().await;
    }
}

#[tokio::test]
async fn half_a_body_holds_up_the_end_no_longer_than_the_drain() {
    let limits = Limits {
        drain: SHORT,
        ..limits()
    };
    let door = door(Settings {
        limits,
        ..Settings::default()
    })
    .await;
    let mut client = Client::connect(door.address).await;
    let request = run(RUN);
    client.send(&request[..request.len() - 1]).await;
    door.begin_shutdown();
    door.stopped().await;
    client.closed().await;
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_the_end() {
    let door = door(Settings {
        gate: 0,
        ..Settings::default()
    })
    .await;
    let mut client = Client::connect(door.address).await;
    client.send(run(RUN)).await;
    door.intake
        .arrived
        .acquire()
        .await
        .expect("it arrives")
        .forget();
    door.begin_shutdown();
    refused(door.address).await;
    door.intake.gate.add_permits(1);
    assert_eq!(client.answer().await.status, 200);
    client.closed().await;
    door.stopped().await;
}

/// Waits until nobody listens at `address` any more.
async fn refused(address: std::net::SocketAddr) {
    let tries = async { while tokio::net::TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, tries)
        .await
        .expect("new connections are refused");
}
