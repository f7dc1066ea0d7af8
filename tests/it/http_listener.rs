//! The accept loop: slow, huge, silent clients, and too many of them.

use std::time::Duration;

use tokio::time::timeout;
use trainhook::http::listener::{BindError, Limits, bind};

use crate::support::{
    labelbox_door::{Settings, door, door_with, limits, ping, run},
    raw_http::{Client, PATIENCE, ask, request},
};

const SHORT: Duration = Duration::from_millis(300);

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
    let door = door_with(limits).await;
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
    let door = door_with(limits).await;
    let mut greedy = Client::connect(door.address).await;
    let many = ping().repeat(1000);
    let flood = async { while greedy.try_send(&many).await.is_ok() {} };
    timeout(PATIENCE, flood)
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
    first.send(run()).await;
    second.send(run()).await;
    door.intake
        .arrived
        .acquire_many(2)
        .await
        .expect("both arrive")
        .forget();
    let mut third = Client::connect(door.address).await;
    third.send(run()).await;
    let waits = timeout(SHORT, door.intake.arrived.acquire()).await;
    waits.expect_err("the third has no slot yet");
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
