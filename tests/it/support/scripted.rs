//! A strict HTTP server that plays a script: one reply a call, in order; a call beyond it fails the test.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// A request must be complete within this.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// What happens to one call.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// An answer.
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// The connection is closed after the request was read.
    Close,
    /// The announced body never comes whole.
    CloseWithinBody,
    /// The request is read and nothing follows.
    Hang,
}

impl Reply {
    /// An answer of JSON, or of any text.
    pub(crate) fn new(status: u16, body: impl ToString) -> Self {
        Self::bytes(status, body.to_string().into_bytes())
    }

    /// An answer of any bytes.
    pub(crate) fn bytes(status: u16, body: Vec<u8>) -> Self {
        Self::Answer {
            status,
            headers: Vec::new(),
            body,
        }
    }

    /// The same with one more header.
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Recorded {
    /// The only value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self
            .headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "header {name} came twice");
        value
    }

    /// The body, which must be JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

#[derive(Debug, Default)]
struct Script {
    replies: VecDeque<Reply>,
    recorded: Vec<Recorded>,
    complaints: Vec<String>,
}

/// The running server.
#[derive(Debug)]
pub(crate) struct Scripted {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    task: JoinHandle<()>,
}

impl Scripted {
    /// Starts to listen on a free port.
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let script = Arc::new(Mutex::new(Script {
            replies: replies.into_iter().collect(),
            ..Script::default()
        }));
        let task = tokio::spawn(serve(listener, Arc::clone(&script)));
        Self {
            address,
            script,
            task,
        }
    }

    /// `http://127.0.0.1:<port><path>`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was asked so far.
    pub(crate) fn recorded(&self) -> Vec<Recorded> {
        self.script.lock().expect("no panic").recorded.clone()
    }

    /// The requests, when the whole script was played and nothing else was asked.
    pub(crate) fn finish(self) -> Vec<Recorded> {
        let left = self.script.lock().expect("no panic").replies.len();
        assert_eq!(left, 0, "replies were left over");
        self.recorded()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
        let complaints = match self.script.lock() {
            Ok(script) => script.complaints.clone(),
            Err(_) => vec!["the script is broken".to_owned()],
        };
        if !std::thread::panicking() {
            assert!(complaints.is_empty(), "{complaints:?}");
        }
    }
}

async fn serve(listener: TcpListener, script: Arc<Mutex<Script>>) {
    // Dropped with this task, and all open connections with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(answer(stream, Arc::clone(&script)));
    }
}

async fn answer(mut stream: TcpStream, script: Arc<Mutex<Script>>) {
    let read = tokio::time::timeout(REQUEST_LIMIT, read_request(&mut stream)).await;
    let reply = {
        let mut script = script.lock().expect("no panic");
        match read {
            Ok(Ok(request)) => script.take_reply(request),
            Ok(Err(complaint)) => script.complain(complaint),
            Err(_) => script.complain("a request did not come whole".to_owned()),
        }
    };
    let bytes = match reply {
        Reply::Hang => return std::future::pending().await,
        Reply::Close => return,
        Reply::CloseWithinBody => b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".to_vec(),
        Reply::Answer {
            status,
            headers,
            body,
        } => encode(status, &headers, &body),
    };
    // A client that went away finds its own words for it.
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
}

impl Script {
    fn take_reply(&mut self, request: Recorded) -> Reply {
        let what = format!("unexpected call {} {}", request.method, request.path);
        self.recorded.push(request);
        match self.replies.pop_front() {
            Some(reply) => reply,
            None => self.complain(what),
        }
    }

    fn complain(&mut self, complaint: String) -> Reply {
        self.complaints.push(complaint);
        Reply::Close
    }
}

fn encode(status: u16, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 {status} scripted\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

async fn read_request(stream: &mut TcpStream) -> Result<Recorded, String> {
    let mut bytes = Vec::new();
    let end_of_head = loop {
        match bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            Some(end) => break end,
            None => read_more(stream, &mut bytes).await?,
        }
    };
    let mut request = parse_head(&bytes[..end_of_head])?;
    let length = request.header("content-length");
    let length: usize = match (length, &*request.method) {
        // These need not say that there is nothing more.
        (None, "GET" | "DELETE") => 0,
        (length, _) => length
            .and_then(|length| length.parse().ok())
            .ok_or("a request without content-length")?,
    };
    while bytes.len() < end_of_head + 4 + length {
        read_more(stream, &mut bytes).await?;
    }
    request.body = bytes.split_off(end_of_head + 4);
    match request.body.len() == length {
        true => Ok(request),
        false => Err("more came than was announced".to_owned()),
    }
}

async fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<(), String> {
    match stream.read_buf(bytes).await {
        Ok(0) => Err("a request ended early".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn parse_head(head: &[u8]) -> Result<Recorded, String> {
    let head = std::str::from_utf8(head).map_err(|error| error.to_string())?;
    let mut lines = head.split("\r\n");
    let first: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, path, "HTTP/1.1"] = first[..] else {
        return Err(format!("not a request line: {first:?}"));
    };
    let headers = lines
        .map(|line| line.split_once(": ").ok_or_else(|| line.to_owned()))
        .map(|pair| pair.map(|(name, value)| (name.to_owned(), value.trim().to_owned())))
        .collect::<Result<_, _>>()?;
    Ok(Recorded {
        method: method.to_owned(),
        path: path.to_owned(),
        headers,
        body: Vec::new(),
    })
}
