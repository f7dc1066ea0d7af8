//! An HTTP client that sends exactly the bytes it is told to, however wrong they are.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Nothing in a test takes this long, except what never ends.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A connection on which requests are sent and answers read.
pub(crate) struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// The value of the header `name`, which is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find_map(|(other, value)| (other == name).then_some(value.as_str()))
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of a refusal; every refusal is JSON with a code and a message.
    pub(crate) fn error_code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{self:?}"
        );
        let json = self.json();
        assert!(
            json["error"]["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{json}"
        );
        json["error"]["code"].as_str().expect("a code").to_owned()
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await;
        Self {
            stream: stream.expect("a connection in time").expect("a connection"),
            read: Vec::new(),
        }
    }

    /// Sends `bytes` as they are.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = timeout(PATIENCE, self.stream.write_all(bytes.as_ref())).await;
        sent.expect("sent in time").expect("sent");
    }

    /// Sends `bytes` until the other side takes no more of them.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        let sent = timeout(PATIENCE, self.stream.write_all(bytes.as_ref())).await;
        sent.expect("sent or refused in time")
    }

    /// Reads one answer with a body; `Content-Length` says how long.
    pub(crate) async fn answer(&mut self) -> Answer {
        self.answer_to("GET")
            .await
            .expect("an answer before the end")
    }

    /// Reads the answer to a request with `method`, or none when the connection ends before one begins.
    pub(crate) async fn answer_to(&mut self, method: &str) -> Option<Answer> {
        let head_end = loop {
            if let Some(at) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            if !self.read_more().await {
                assert!(self.read.is_empty(), "half an answer: {:?}", self.read);
                return None;
            }
        };
        let head = String::from_utf8(self.read.drain(..head_end + 4).collect()).expect("ASCII");
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().expect("a status line");
        let headers = lines.map(|line| line.split_once(": ").expect("a header"));
        let mut answer = Answer {
            status: status_line[9..12].parse().expect("a status"),
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: String::new(),
        };
        let length = answer
            .header("content-length")
            .map_or(0, |text| text.parse().expect("a length"));
        let length: usize = if method == "HEAD" { 0 } else { length };
        while self.read.len() < length {
            assert!(self.read_more().await, "half a body: {answer:?}");
        }
        answer.body = String::from_utf8(self.read.drain(..length).collect()).expect("UTF-8");
        Some(answer)
    }

    /// Waits until an answer begins.
    pub(crate) async fn begun(&mut self) {
        assert!(self.read_more().await, "an answer before the end");
    }

    /// Everything up to the end of the connection, as it came.
    pub(crate) async fn rest(&mut self) -> String {
        while self.read_more().await {}
        String::from_utf8(std::mem::take(&mut self.read)).expect("UTF-8")
    }

    /// Waits until the other side has closed, without a further answer.
    pub(crate) async fn closed(&mut self) {
        while self.read_more().await {}
        assert!(
            self.read.is_empty(),
            "{}",
            String::from_utf8_lossy(&self.read)
        );
    }

    /// Reads what is there; false at the end, be it orderly or a reset.
    async fn read_more(&mut self) -> bool {
        let mut buffer = vec![0; 64 * 1024];
        let read = timeout(PATIENCE, self.stream.read(&mut buffer)).await;
        let count = read
            .expect("something to read, or the end, in time")
            .unwrap_or(0);
        self.read.extend_from_slice(&buffer[..count]);
        count > 0
    }
}

/// The bytes of a request; a body brings its `Content-Length`, and who names no host gets one.
pub(crate) fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    if headers.iter().all(|(name, _)| *name != "Host") {
        head += "Host: trainhook.test\r\n";
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if let Some(body) = body {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    let mut bytes = (head + "\r\n").into_bytes();
    bytes.extend_from_slice(body.unwrap_or_default());
    bytes
}

/// One request on a connection of its own, and its answer.
pub(crate) async fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Answer {
    let mut client = Client::connect(address).await;
    client.send(request(method, path, headers, body)).await;
    client.answer_to(method).await.expect("an answer")
}
