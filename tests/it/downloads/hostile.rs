//! A server that answers as it is told, byte by byte: nothing in it is as a client would like it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// What is done on a connection, in order; then it is closed.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// These bytes are sent.
    Send(Vec<u8>),
    /// One byte is sent again and again, this long after the one before.
    Drip(Duration),
    /// These bytes are sent again and again, until nobody takes them.
    Flood(Vec<u8>),
    /// Nothing is sent any more.
    Hang,
}

type Play = dyn Fn(usize, &str) -> Vec<Act> + Send + Sync;

/// The running server.
pub(crate) struct Hostile {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Hostile {
    /// Listens on a loopback address. `play` is told how many requests came before, and the head of this one.
    pub(crate) async fn start(
        address: &str,
        play: impl Fn(usize, &str) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((address, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let heads = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(serve(listener, Arc::clone(&heads), Arc::new(play)));
        Self {
            address,
            heads,
            task,
        }
    }

    /// One that always answers the same.
    pub(crate) async fn answering(address: &str, answer: Vec<u8>) -> Self {
        Self::start(address, move |_, _| vec![Act::Send(answer.clone())]).await
    }

    /// `http://<address><path>`
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The heads of the requests so far, in lower case.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no panic").clone()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, heads: Arc<Mutex<Vec<String>>>, play: Arc<Play>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(answer(stream, Arc::clone(&heads), Arc::clone(&play)));
    }
}

async fn answer(mut stream: TcpStream, heads: Arc<Mutex<Vec<String>>>, play: Arc<Play>) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let before = {
        let mut heads = heads.lock().expect("no panic");
        heads.push(head.clone());
        heads.len() - 1
    };
    for act in play(before, &head) {
        if perform(&mut stream, act).await.is_err() {
            return;
        }
    }
    // A client that went away finds its own words for it.
    let _ = stream.shutdown().await;
}

async fn perform(stream: &mut TcpStream, act: Act) -> std::io::Result<()> {
    match act {
        Act::Send(bytes) => stream.write_all(&bytes).await,
        Act::Drip(rest) => loop {
            stream.write_all(b"x").await?;
            tokio::time::sleep(rest).await;
        },
        Act::Flood(bytes) => loop {
            stream.write_all(&bytes).await?;
        },
        Act::Hang => std::future::pending().await,
    }
}

/// The head of an answer; the connection ends with it.
pub(crate) fn head(status: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    (head + "\r\n").into_bytes()
}

/// A whole answer with its length.
pub(crate) fn whole(body: &[u8], headers: &[(&str, &str)]) -> Vec<u8> {
    let length = body.len().to_string();
    let mut all = vec![("content-length", length.as_str())];
    all.extend(headers);
    [head("200 OK", &all), body.to_vec()].concat()
}

/// A redirect.
pub(crate) fn redirect(to: &str) -> Vec<u8> {
    head("302 Found", &[("location", to), ("content-length", "0")])
}
