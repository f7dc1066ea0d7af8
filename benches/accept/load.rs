//! Many keep-alive connections that ask as fast as they are answered.

use std::{
    fmt,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};
use trainhook::{config::Secret, signature::sign};
use uuid::Uuid;

use crate::server::SECRET;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// Signed `GET /models`.
    Models,
    /// Signed `POST /model_run`, each of another run.
    Clicks,
}

/// How it went.
#[derive(Debug)]
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    median: Duration,
    slowest_percent: Duration,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        write!(
            f,
            "{:.0}/s, median {:.2} ms, 99 % within {:.2} ms",
            self.per_second,
            milliseconds(self.median),
            milliseconds(self.slowest_percent)
        )
    }
}

/// Asks over `connections` at once for as long as `span`.
pub(crate) async fn run(address: &str, connections: usize, span: Duration, load: Load) -> Rate {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        tasks.spawn(ask_until(address.to_owned(), begun + span, load));
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done.expect("no connection fails"));
    }
    let elapsed = begun.elapsed();
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Rate {
        per_second: times.len() as f64 / elapsed.as_secs_f64(),
        median: at(0.5),
        slowest_percent: at(0.99),
    }
}

async fn ask_until(address: String, end: Instant, load: Load) -> Vec<Duration> {
    let mut stream = TcpStream::connect(&address).await.expect("it listens");
    stream.set_nodelay(true).expect("a socket option");
    let mut times = Vec::new();
    let mut read = Vec::new();
    while Instant::now() < end {
        let request = request(load);
        let sent = Instant::now();
        stream
            .write_all(&request)
            .await
            .expect("it takes the request");
        answer(&mut stream, &mut read).await;
        times.push(sent.elapsed());
    }
    times
}

fn request(load: Load) -> Vec<u8> {
    let (head, body) = match load {
        Load::Models => ("GET /models", String::new()),
        Load::Clicks => {
            let (run, model) = (Uuid::new_v4(), Uuid::new_v4());
            let body = format!(r#"{{"modelId":"{model}","modelRunId":"{run}","modelType":"job"}}"#);
            ("POST /model_run", body)
        }
    };
    let signature = sign(&Secret::new(SECRET), body.as_bytes());
    let length = body.len();
    format!(
        "{head} HTTP/1.1\r\nHost: bench\r\nX-Hub-Signature: {signature}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Reads one answer to its last byte; anything but 200 is no measurement.
async fn answer(stream: &mut TcpStream, read: &mut Vec<u8>) {
    read.clear();
    loop {
        let count = stream.read_buf(read).await.expect("it answers");
        assert!(count > 0, "the connection ended");
        let text = String::from_utf8_lossy(read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        assert!(head.starts_with("HTTP/1.1 200"), "{text}");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length
            .and_then(|length| length.parse().ok())
            .expect("a length");
        if body.len() >= length {
            return;
        }
    }
}
