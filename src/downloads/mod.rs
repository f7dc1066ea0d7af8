//! Fetching what addresses from outside lead to: result files of Labelbox's, and media that anybody may have named.
//!
//! Whoever may label may write an address, and it is called from within the operator's network. So only `http` and
//! `https` are spoken, only public addresses are called (and those that `media_allow` or a workspace's `endpoint`
//! names), the address that was judged is the one that is connected to, and each redirect is judged anew. An API key
//! goes to a workspace's endpoint and nowhere else. Sizes and times are bounded; no error tells an address's query.
//!
//! Proxies: the environment's (`HTTPS_PROXY` …) are used for the endpoints that the settings name, as for every other
//! call to Labelbox, but for nothing else: a proxy would look hosts up itself, out of reach of these rules. Where a
//! proxy is the only way out, `media_proxy` names it, and it must judge.

mod address;
mod ask;
mod reach;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use reqwest::{
    Proxy, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, LAST_MODIFIED},
};
use serde::{Deserialize, Serialize};

use crate::{
    config::{Current, Secret},
    outbound,
};

pub use reach::Reach;

/// What comes slower than this, in bytes a second, is given up.
const LEAST_PACE: u64 = 1024;

/// Fetches files over HTTP. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Downloads {
    /// Calls what the settings name.
    named: reqwest::Client,
    /// Calls everything else.
    strangers: reqwest::Client,
    reach: Current<Reach>,
    limits: Limits,
}

/// How long a file may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A server that sends nothing for this long is given up. Default 30 s.
    pub silence: Duration,
    /// One request for a file ends after this, wherever it is then. Default 1 h.
    pub whole: Duration,
    /// After this it must have come at 1 KB a second, on average. Default 1 min.
    pub patience: Duration,
}

/// What is to be fetched.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Its whole address.
    pub url: &'a str,
    /// Sent as `Authorization: Bearer`, but only where the settings name the address's host as Labelbox's, and never
    /// beyond a redirect to another one.
    pub bearer: Option<&'a Secret>,
    /// The first byte that is wanted: what lies before it is here already.
    pub from: u64,
    /// A longer file is not fetched, in bytes from its beginning.
    pub most: u64,
}

/// What is here of a file already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known<'a> {
    /// Nothing, or what will not have changed.
    Nothing,
    /// All before [`Source::from`], of this version: if it is another one now, the file begins anew.
    Beginning(&'a Version),
    /// All of it, of this version: if it still is this one, nothing is sent.
    Whole(&'a Version),
}

/// What tells one version of a file from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Version {
    /// An `ETag`, as it was sent.
    Tag(String),
    /// The time of its last change, as it was sent.
    Date(String),
}

/// A file on its way.
#[derive(Debug)]
pub struct Download {
    response: reqwest::Response,
    /// The place of the next byte in the whole file.
    at: u64,
    began_at: u64,
    length: Option<u64>,
    most: u64,
    begun: Instant,
    limits: Limits,
}

/// Why a file does not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DownloadError {
    /// It may come later.
    #[error("{0}")]
    Transient(String),
    /// The address does not hold, or does not hold any longer: ask for another one.
    #[error("{0}")]
    Refused(String),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(30),
            whole: Duration::from_secs(3600),
            patience: Duration::from_secs(60),
        }
    }
}

impl Downloads {
    /// A client for all downloads of a server, which reaches public addresses alone.
    ///
    /// # Errors
    /// When no TLS is to be had, such as without any certificates.
    pub fn new() -> Result<Self, DownloadError> {
        Self::reaching(Current::new(Reach::default()), Limits::default(), None)
    }

    /// The same, which reaches what `reach` says at each request; by way of `proxy`, if one is named.
    ///
    /// # Errors
    /// When no TLS is to be had, or the proxy's address is none.
    pub fn reaching(
        reach: Current<Reach>,
        limits: Limits,
        proxy: Option<&str>,
    ) -> Result<Self, DownloadError> {
        let cannot = |error: reqwest::Error| DownloadError::Transient(error.to_string());
        let builder = || outbound::client_builder().read_timeout(limits.silence);
        let strangers = match proxy {
            // The proxy's own host may be anywhere.
            Some(proxy) => builder().proxy(Proxy::all(proxy).map_err(cannot)?),
            None => {
                let resolver = reach::Resolver(reach.clone());
                builder().no_proxy().dns_resolver(Arc::new(resolver))
            }
        };
        Ok(Self {
            named: builder().build().map_err(cannot)?,
            strangers: strangers.build().map_err(cannot)?,
            reach,
            limits,
        })
    }

    /// Asks for a file and reads the head of the answer. It may be packed on its way; what comes is unpacked, and
    /// counts as such.
    ///
    /// # Errors
    /// When it does not come; see [`DownloadError`].
    pub async fn open(&self, source: Source<'_>) -> Result<Download, DownloadError> {
        let headers = ask::headers(&source, Known::Nothing, false);
        let download = self.answer(&source, headers).await?;
        download.ok_or_else(|| ask::status_error(StatusCode::NOT_MODIFIED))
    }

    /// Asks for a file as it is stored, so that it can be taken up where it was cut, and kept for another time. None
    /// if all of it is [`Known`], and still is the same.
    ///
    /// # Errors
    /// When it does not come; see [`DownloadError`].
    pub async fn open_stored(
        &self,
        source: Source<'_>,
        known: Known<'_>,
    ) -> Result<Option<Download>, DownloadError> {
        let headers = ask::headers(&source, known, true);
        self.answer(&source, headers).await
    }

    async fn answer(
        &self,
        source: &Source<'_>,
        headers: HeaderMap,
    ) -> Result<Option<Download>, DownloadError> {
        let may_be_same = headers.contains_key(reqwest::header::IF_NONE_MATCH)
            || headers.contains_key(reqwest::header::IF_MODIFIED_SINCE);
        let response = ask::ask(self, source, headers).await?;
        let (at, length) = match response.status() {
            StatusCode::OK => (
                0,
                header(&response, CONTENT_LENGTH).and_then(|n| n.parse().ok()),
            ),
            StatusCode::PARTIAL_CONTENT => range(&response)
                .filter(|(start, _)| *start <= source.from)
                .ok_or_else(|| DownloadError::Transient("it sent another part".to_owned()))?,
            StatusCode::NOT_MODIFIED if may_be_same => return Ok(None),
            status => return Err(ask::status_error(status)),
        };
        if length.is_some_and(|length| length > source.most) {
            return Err(too_long(source.most));
        }
        Ok(Some(Download {
            response,
            at,
            began_at: at,
            length,
            most: source.most,
            begun: Instant::now(),
            limits: self.limits,
        }))
    }
}

impl Download {
    /// The place of the next byte in the whole file: 0 where the server begins anew, whatever was wanted.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.at
    }

    /// How long the whole file is, in bytes, where the server says so.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Which version of the file this is, where the server says so.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        let tag = header(&self.response, ETAG).map(|tag| Version::Tag(tag.to_owned()));
        let date =
            || header(&self.response, LAST_MODIFIED).map(|date| Version::Date(date.to_owned()));
        tag.or_else(date)
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// When they do not come, or come too slowly, or the file is longer than was allowed.
    pub async fn next(&mut self) -> Result<Option<Bytes>, DownloadError> {
        let left = self.limits.whole.saturating_sub(self.begun.elapsed());
        let Ok(chunk) = tokio::time::timeout(left, self.response.chunk()).await else {
            let text = format!("it did not come within {} s", self.limits.whole.as_secs());
            return Err(DownloadError::Transient(text));
        };
        let Some(bytes) = chunk.map_err(|error| ask::explain(&error))? else {
            return match self.length {
                Some(length) if length != self.at => {
                    let text = format!("it ended at byte {} of {length}", self.at);
                    Err(DownloadError::Transient(text))
                }
                _ => Ok(None),
            };
        };
        self.at += bytes.len() as u64;
        if self.at > self.most {
            return Err(too_long(self.most));
        }
        self.check_pace().map(|()| Some(bytes))
    }

    fn check_pace(&self) -> Result<(), DownloadError> {
        let passed = self.begun.elapsed();
        let least = LEAST_PACE.saturating_mul(passed.as_secs());
        match passed > self.limits.patience && self.at - self.began_at < least {
            true => Err(DownloadError::Transient("it comes too slowly".to_owned())),
            false => Ok(()),
        }
    }
}

impl Version {
    /// Whether two files of this version are alike byte for byte, so that one can be taken up where the other ended.
    fn is_strong(&self) -> bool {
        match self {
            Self::Tag(tag) => tag.starts_with('"'),
            Self::Date(_) => true,
        }
    }
}

fn too_long(most: u64) -> DownloadError {
    DownloadError::Refused(format!("the file is longer than {most} bytes"))
}

fn header(response: &reqwest::Response, name: reqwest::header::HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}

/// Where the part begins that was sent, and how long the whole file is.
fn range(response: &reqwest::Response) -> Option<(u64, Option<u64>)> {
    let range = header(response, CONTENT_RANGE)?.strip_prefix("bytes ")?;
    let (start, rest) = range.split_once('-')?;
    let (_, length) = rest.split_once('/')?;
    Some((start.parse().ok()?, length.parse().ok()))
}
