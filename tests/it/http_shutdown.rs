//! The end of a listener: what is under way finishes, what is half-sent does not hold it up.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use trainhook::http::listener::{Limits, bind, serve};
use warp::{Filter, Reply, reply::Response};

use crate::support::{
    labelbox_door::{Settings, door, door_with, limits, ping, run},
    raw_http::{Client, PATIENCE},
};

const HOUR: Duration = Duration::from_secs(3600);
#[tokio::test]
async fn half_sent_requests_do_not_hold_up_the_end() {
    // None of these connections would end by itself before the test gives up.
    let limits = Limits {
        header_timeout: HOUR,
        max_connections: 8,
        drain: HOUR,
    };
    let door = door(Settings {
        limits,
        body_time: HOUR,
        ..Settings::default()
    })
    .await;
    let address = door.address;
    let mut silent = Client::connect(address).await;
    let mut half_head = Client::connect(address).await;
    half_head.send("GET /models HTTP/1.1\r\nHost:").await;
    let mut idle = Client::connect(address).await;
    idle.send(ping()).await;
    assert_eq!(idle.answer().await.status, 200);
    door.begin_shutdown();
    door.stopped().await;
    for client in [&mut silent, &mut half_head, &mut idle] {
        client.closed().await;
    }
}

#[tokio::test]
async fn half_a_body_holds_up_the_end_no_longer_than_the_drain() {
    let limits = Limits {
        drain: Duration::from_millis(300),
        ..limits()
    };
    let door = door_with(limits).await;
    let mut client = Client::connect(door.address).await;
    let request = run();
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
    client.send(run()).await;
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
async fn refused(address: SocketAddr) {
    let tries = async { while tokio::net::TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, tries)
        .await
        .expect("new connections are refused");
}

/// A listener that answers everything with `routes`.
async fn serve_alone<F>(routes: F) -> (SocketAddr, watch::Sender<bool>, JoinHandle<()>)
where
    F: Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static,
{
    let listener = bind("127.0.0.1:0".parse().expect("an address"))
        .await
        .expect("a listener");
    let address = listener.local_addr().expect("an address");
    let (shutdown, stop) = watch::channel(false);
    (
        address,
        shutdown,
        tokio::spawn(serve(listener, None, routes, limits(), stop)),
    )
}

/// Longer than a half-sent request is waited for.
async fn still_runs(server: &mut JoinHandle<()>) {
    let ended = timeout(Duration::from_secs(1), server).await;
    ended.expect_err("the answer is waited for");
}

#[tokio::test]
async fn a_long_answer_goes_out_whole_before_the_end() {
    const LENGTH: usize = 32 * 1024 * 1024;
    let routes = warp::any().then(async || "x".repeat(LENGTH).into_response());
    let (address, shutdown, mut server) = serve_alone(routes).await;
    let mut client = Client::connect(address).await;
    client.send(ping()).await;
    client.begun().await;
    shutdown.send_replace(true);
    refused(address).await;
    still_runs(&mut server).await;
    assert_eq!(client.answer().await.body.len(), LENGTH);
    client.closed().await;
    timeout(PATIENCE, server)
        .await
        .expect("the end in time")
        .expect("no panic");
}

#[tokio::test]
async fn a_streamed_answer_goes_out_whole_before_the_end() {
    let (pieces, stream) = mpsc::channel::<&'static str>(1);
    let stream = Arc::new(Mutex::new(Some(stream)));
    let routes = warp::any().map(move || {
        let receiver = stream.lock().expect("a lock").take().expect("one request");
        let next = |mut receiver: mpsc::Receiver<_>| async {
            let piece = receiver.recv().await?;
            Some((Ok::<_, Infallible>(piece), receiver))
        };
        warp::reply::stream(futures_util::stream::unfold(receiver, next)).into_response()
    });
    let (address, shutdown, mut server) = serve_alone(routes).await;
    let mut client = Client::connect(address).await;
    client.send(ping()).await;
    pieces.send("first").await.expect("a reader");
    client.begun().await;
    shutdown.send_replace(true);
    refused(address).await;
    still_runs(&mut server).await;
    pieces.send("last").await.expect("a reader");
    drop(pieces);
    let text = client.rest().await;
    assert!(
        text.contains("first") && text.ends_with("4\r\nlast\r\n0\r\n\r\n"),
        "{text}"
    );
    timeout(PATIENCE, server)
        .await
        .expect("the end in time")
        .expect("no panic");
}
