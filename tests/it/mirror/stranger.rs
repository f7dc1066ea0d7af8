//! Something else than the server at its address: only the one right word stops a training.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::Site;
use crate::support::stack::{job_id, model, trainhook_in, wait_until};

/// Answers every connection with these bytes; counts them.
async fn stranger(answer: String) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let address = listener.local_addr().expect("an address");
    let asked = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut buffer = [0; 16 * 1024];
            let _read = client.read(&mut buffer).await;
            let _written = client.write_all(answer.as_bytes()).await;
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (address, asked)
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// Has the running job's supervisor hear this, and then the server again.
async fn hear(site: &Site, id: &str, text: String) {
    let (address, asked) = stranger(text).await;
    site.proxy.lead_to(Some(address));
    wait_until("a question", || {
        (asked.load(Ordering::Relaxed) >= 1).then_some(())
    })
    .await;
    let told = site.text(id, "log/output.log").len();
    site.connect();
    let is_told = || (site.text(id, "log/output.log").len() > told).then_some(());
    wait_until("more of the log", is_told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_answer_stops_a_training() {
    let script =
        "echo $TRAINHOOK_ATTEMPT >> runs; while [ ! -e go ]; do echo here; sleep 0.05; done";
    let site = Site::start(&model("job", script, "")).await;
    let run = site.stack.new_run();
    let id = job_id(&site.stack.click(&run, "job").await);
    site.stack.wait_for_lines("runs", 1).await;
    let html = "<html><body>Sign in to this network</body></html>";
    let other = json!({"revoked": "th-019a0000000070008000000000000000-a1"}).to_string();
    let own = json!({"revoked": super::launch(&id, 1)}).to_string();
    for (status, body) in [
        ("401 Unauthorized", ""),
        ("404 Not Found", html),
        ("200 OK", html),
        ("500 Internal Server Error", ""),
        ("302 Found", ""),
        ("410 Gone", html),
        ("410 Gone", &other),
        ("404 Not Found", &own),
    ] {
        hear(&site, &id, answer(status, body)).await;
    }
    site.stack.go();
    site.stack.told(&run, "COMPLETE").await;
    assert_eq!(site.stack.lines("runs"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_right_word_stops_it_and_nothing_is_left() {
    let (site, _, launch_id) = Site::with_running_job("").await;
    let own = json!({"revoked": launch_id}).to_string();
    let (address, _) = stranger(answer("410 Gone", &own)).await;
    site.proxy.lead_to(Some(address));
    site.machine_is_clean().await;
    assert_eq!(site.text(&launch_id.job.to_string(), "exit.json"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_an_address_that_leads_elsewhere() {
    let site = Site::start(&model("quick", "true", "")).await;
    let doctor = || {
        let output = trainhook_in(site.stack.folder.path(), &["doctor"]);
        let told = String::from_utf8(output.stdout).expect("text");
        let line = told.lines().find(|line| line.contains("jobs_url"));
        line.map(str::to_owned).expect("it looks there")
    };
    assert!(doctor().starts_with("ok "), "{}", doctor());
    let (address, _) = stranger(answer("404 Not Found", "<html></html>")).await;
    site.proxy.lead_to(Some(address));
    assert!(doctor().contains("something else"), "{}", doctor());
    site.proxy.lead_to(None);
    assert!(doctor().contains("cannot be reached"), "{}", doctor());
}
