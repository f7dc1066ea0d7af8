//! The server, as a supervisor elsewhere calls it. An answer that is not understood is never an order: it means "later".

use std::time::Duration;

use reqwest::{
    Method, RequestBuilder, Response, StatusCode, Url,
    header::{CONTENT_RANGE, RANGE},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    config::Secret,
    job::LaunchId,
    job_dir::{ExitRecord, FileRecord},
    mirror::{ClaimAnswer, ClaimRequest, Heartbeat, Revoked, Standing},
    outbound,
};

/// A whole exchange with a small body ends within this.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// A file on its way may be silent for this long.
const SILENCE: Duration = Duration::from_secs(30);

/// A connection that nobody uses is kept for this long.
const IDLE: Duration = Duration::from_secs(2);

/// The longest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 8 << 20;

/// Why the server did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It may do so later; the text is for people.
    Later(String),
    /// The attempt does not count any longer.
    Revoked,
    /// The attempt belongs to another supervisor.
    Claimed,
    /// It will never do that.
    Refused(String),
}

/// Whether a connection is used for more than one call. The server holds a bounded number of them, and a supervisor
/// lives for days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connections {
    /// For calls that follow each other closely.
    Kept,
    /// Each call has its own.
    Fresh,
}

/// One launch at the server.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    http: reqwest::Client,
    base: Url,
    launch_id: LaunchId,
    token: Secret,
}

impl Remote {
    /// The launch at the server whose addresses begin with `url`.
    ///
    /// # Errors
    /// When that is no address, or no TLS is to be had.
    pub(super) fn new(
        url: &str,
        launch_id: LaunchId,
        token: Secret,
        connections: Connections,
    ) -> Result<Self, String> {
        let base = Url::parse(&format!("{}/jobs/{launch_id}", url.trim_end_matches('/')));
        let base = base.map_err(|error| format!("{url} is no address: {error}"))?;
        let builder = outbound::client_builder_for(base.as_str()).read_timeout(SILENCE);
        let builder = match connections {
            Connections::Kept => builder.pool_idle_timeout(IDLE),
            Connections::Fresh => builder.pool_max_idle_per_host(0),
        };
        let http = builder.build();
        Ok(Self {
            http: http
                .map_err(|error| format!("cannot speak HTTP: {}", outbound::causes(&error)))?,
            base,
            launch_id,
            token,
        })
    }

    pub(super) async fn claim(&self, asked: &ClaimRequest) -> Result<ClaimAnswer, Fault> {
        let request = self.request(Method::POST, &["claim"], &[]);
        self.ask(request.json(asked)).await
    }

    pub(super) async fn heartbeat(&self, count: u64) -> Result<Standing, Fault> {
        let request = self.request(Method::POST, &["heartbeat"], &[]);
        self.ask(request.json(&Heartbeat { count })).await
    }

    /// Puts bytes of `what`, `events` or `log`, at their place.
    pub(super) async fn append(
        &self,
        what: &str,
        offset: u64,
        bytes: Vec<u8>,
    ) -> Result<Standing, Fault> {
        let offset = offset.to_string();
        let request = self.request(Method::PUT, &[what], &[("offset", &offset)]);
        self.ask(request.body(bytes)).await
    }

    /// Puts bytes of an output, whose path begins in `out/`, at their place.
    pub(super) async fn put_output(
        &self,
        output: &FileRecord,
        offset: u64,
        bytes: Vec<u8>,
    ) -> Result<Standing, Fault> {
        let path: Vec<&str> = ["out"].into_iter().chain(output.path.split('/')).collect();
        let (offset, size) = (offset.to_string(), output.size.to_string());
        let query = [
            ("offset", &*offset),
            ("size", &*size),
            ("sha256", &output.sha256),
        ];
        let request = self.request(Method::PUT, &path, &query);
        self.ask(request.body(bytes)).await
    }

    pub(super) async fn put_exit(&self, record: &ExitRecord) -> Result<Standing, Fault> {
        let request = self.request(Method::PUT, &["exit"], &[]);
        self.ask(request.json(record)).await
    }

    /// Asks for a file from the byte `from` on; answers where the bytes that come begin. None if there are none.
    pub(super) async fn open(
        &self,
        path: &[&str],
        from: u64,
    ) -> Result<Option<(u64, Response)>, Fault> {
        // No limit for the whole: a file takes as long as it takes.
        let mut request = self.bare_request(Method::GET, path, &[]);
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let response = request.send().await.map_err(|error| unreached(&error))?;
        match response.status() {
            StatusCode::OK => Ok(Some((0, response))),
            StatusCode::PARTIAL_CONTENT => match range_start(&response) {
                Some(start) if start == from => Ok(Some((start, response))),
                _ => Err(Fault::Later("another part of a file was sent".to_owned())),
            },
            StatusCode::RANGE_NOT_SATISFIABLE => Ok(None),
            status => Err(self.fault(status, &read(response).await?)),
        }
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        let request = self.bare_request(method, path, query);
        request.timeout(CALL_TIMEOUT)
    }

    fn bare_request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.request(method, url);
        request.bearer_auth(self.token.expose())
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Fault> {
        let response = request.send().await.map_err(|error| unreached(&error))?;
        let status = response.status();
        let body = read(response).await?;
        if !status.is_success() {
            return Err(self.fault(status, &body));
        }
        let strange = |_| Fault::Later("something else than the server answers there".to_owned());
        serde_json::from_slice(&body).map_err(strange)
    }

    /// What a refusal means.
    fn fault(&self, status: StatusCode, body: &[u8]) -> Fault {
        if status == StatusCode::GONE {
            let revoked = serde_json::from_slice::<Revoked>(body);
            if revoked.is_ok_and(|answer| answer.revoked == self.launch_id) {
                return Fault::Revoked;
            }
        }
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| answer["error"][name].as_str().unwrap_or_default();
        match (status, text("code")) {
            (StatusCode::CONFLICT, "claimed") => Fault::Claimed,
            (StatusCode::PAYLOAD_TOO_LARGE, "over_quota")
            | (StatusCode::BAD_REQUEST, "invalid_request") => {
                Fault::Refused(text("message").to_owned())
            }
            _ => Fault::Later(format!("the server answered {status}")),
        }
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| unreached(&error))? {
        body.extend_from_slice(&piece);
        if body.len() > ANSWER_LIMIT {
            return Err(Fault::Later("an answer without end".to_owned()));
        }
    }
    Ok(body)
}

fn range_start(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (start, _) = range.strip_prefix("bytes ")?.split_once('-')?;
    start.parse().ok()
}

pub(super) fn unreached(error: &reqwest::Error) -> Fault {
    Fault::Later(format!(
        "the server cannot be reached: {}",
        outbound::causes(error)
    ))
}
