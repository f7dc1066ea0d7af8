//! Exchanges with Labelbox, kept in a file for reports about bugs: one line of JSON each, without secrets.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::config::Secret;

/// Exchanges that may wait for the disk; what comes while it is behind is not kept.
const WAITING: usize = 256;

/// A longer body is cut, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

/// Nothing more is kept in a file of this size, in bytes.
const FILE_LIMIT: u64 = 256 * 1024 * 1024;

/// What stands where a secret was.
const REDACTED: &str = "[redacted]";

/// Headers whose values are secrets, or as good as one.
const SECRET_HEADERS: [&str; 5] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
    "x-hub-signature",
];

/// Keeps exchanges. Cheap to clone; all clones write to one file.
#[derive(Debug, Clone)]
pub struct Recorder {
    lines: SyncSender<Vec<u8>>,
}

/// A request and its answer.
#[derive(Debug, Serialize)]
pub struct Exchange {
    /// When it was over.
    pub at: Timestamp,
    /// Whose request it was.
    pub sent_by: Side,
    /// The request.
    pub request: Message,
    /// The answer; none where none came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<Message>,
    /// Why none came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// The two ends of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Labelbox, or whoever speaks in its name.
    Labelbox,
    /// This server.
    Trainhook,
}

/// One half of an exchange.
#[derive(Debug, Default, Serialize)]
pub struct Message {
    /// The method and the address: `POST /model_run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// The status of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Names and values, in their order.
    pub headers: Vec<(String, String)>,
    /// The body: JSON where it is JSON, else its text.
    pub body: Value,
}

impl Recorder {
    /// Begins a new file in `folder`, named after this moment and readable by its owner alone. Answers where it is.
    ///
    /// # Errors
    /// When the folder or the file cannot be made.
    pub fn start(folder: &Path) -> io::Result<(Self, PathBuf)> {
        fs::create_dir_all(folder)?;
        let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        let path = folder.join(format!("labelbox-{now}.ndjson"));
        let file = File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)?;
        let (lines, waiting) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || write_lines(file, &waiting))?;
        Ok((Self { lines }, path))
    }

    /// Keeps an exchange, without the values of `secrets`. Never waits: what the disk cannot take in time is left out.
    pub fn keep(&self, mut exchange: Exchange, secrets: &[&Secret]) {
        for message in std::iter::once(&mut exchange.request).chain(&mut exchange.reply) {
            message.redact(secrets);
        }
        if let Some(error) = &mut exchange.error {
            *error = redact(error, secrets);
        }
        let mut line =
            serde_json::to_vec(&exchange).expect("text and JSON values always serialise");
        line.push(b'\n');
        if self.lines.try_send(line).is_err() {
            tracing::warn!(
                "an exchange with Labelbox was not recorded: the recording is full or behind"
            );
        }
    }
}

impl Message {
    /// The body as it came.
    #[must_use]
    pub fn with_body(mut self, bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(BODY_LIMIT)];
        self.body = match bytes {
            [] => Value::Null,
            bytes => serde_json::from_slice(bytes)
                .unwrap_or_else(|_| String::from_utf8_lossy(bytes).into()),
        };
        self
    }

    /// The headers as they came.
    #[must_use]
    pub fn with_headers(mut self, headers: &warp::http::HeaderMap) -> Self {
        let text =
            |value: &warp::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
        let headers = headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)));
        self.headers = headers.collect();
        self
    }

    fn redact(&mut self, secrets: &[&Secret]) {
        if let Some(line) = &mut self.line {
            *line = redact(line, secrets);
        }
        for (name, value) in &mut self.headers {
            *value = match SECRET_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
                true => REDACTED.to_owned(),
                false => redact(value, secrets),
            };
        }
        redact_value(&mut self.body, secrets);
    }
}

fn redact_value(value: &mut Value, secrets: &[&Secret]) {
    match value {
        Value::String(text) => *text = redact(text, secrets),
        Value::Array(values) => values
            .iter_mut()
            .for_each(|value| redact_value(value, secrets)),
        Value::Object(map) => {
            let entries = std::mem::take(map).into_iter();
            *map = entries
                .map(|(key, mut value)| {
                    redact_value(&mut value, secrets);
                    (redact(&key, secrets), value)
                })
                .collect();
        }
        _ => {}
    }
}

fn redact(text: &str, secrets: &[&Secret]) -> String {
    let without = secrets.iter().filter(|secret| !secret.expose().is_empty());
    let text = without.fold(text.to_owned(), |text, secret| {
        text.replace(secret.expose(), REDACTED)
    });
    cut_queries(&text)
}

/// Whoever has the address of a file in a bucket may read it: the right to do so stands in its query.
fn cut_queries(text: &str) -> String {
    let mut pieces = text.split("://");
    let mut cut = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        cut.push_str("://");
        let end = piece.find(|c: char| c.is_whitespace() || "\"'<>".contains(c));
        let (address, rest) = piece.split_at(end.unwrap_or(piece.len()));
        match address.split_once('?') {
            Some((place, _)) => cut.extend([place, "?", REDACTED]),
            None => cut.push_str(address),
        }
        cut.push_str(rest);
    }
    cut
}

fn write_lines(mut file: File, waiting: &Receiver<Vec<u8>>) {
    let mut written = 0;
    while let Ok(line) = waiting.recv() {
        written += line.len() as u64;
        if written > FILE_LIMIT {
            tracing::warn!("the recording is full: nothing more is recorded until the next start");
            return;
        }
        if let Err(error) = file.write_all(&line) {
            tracing::error!("cannot write the recording, nothing more is recorded: {error}");
            return;
        }
    }
}
