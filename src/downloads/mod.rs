//! Fetching what addresses from outside lead to: result files of Labelbox's, and media that anybody may have named.
//!
//! Whoever may label may write an address, and it is called from within the operator's network. So only `http` and
//! `https` are spoken, only public addresses are called (and those that `media_allow` or a workspace's `endpoint`
//! names), the address that was judged is the one that is connected to, and each redirect is judged anew. An API key
//! goes to a workspace's endpoint and nowhere else. Sizes and times are bounded; no error tells an address's query.
//!
//! Proxies: the environment's (`HTTPS_PROXY` …) are used for the endpoints that the settings name, and for addresses
//! that Labelbox itself has written, as for every other call to Labelbox. They are not used for what anybody may have
//! written: a proxy looks hosts up itself, out of reach of these rules. Where a proxy is the only way out,
//! `media_proxy` names it, and it must judge; what Labelbox has written goes that way, too.

mod address;
mod ask;
mod download;
mod reach;

use std::{sync::Arc, time::Duration};

use reqwest::{
    Proxy, StatusCode,
    header::{HeaderMap, IF_NONE_MATCH},
};
use serde::{Deserialize, Serialize};

use crate::{
    config::{Current, Secret},
    outbound,
};

pub use download::Download;
pub use reach::Reach;
use reach::Resolver;

/// Fetches files over HTTP. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Downloads {
    /// Calls what the settings name.
    named: reqwest::Client,
    /// Calls what Labelbox has named.
    labelbox: reqwest::Client,
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
    /// Who has written that address.
    pub author: Author,
    /// Sent as `Authorization: Bearer`, but only where the settings name the address's host as Labelbox's, and never
    /// beyond a redirect to another one.
    pub bearer: Option<&'a Secret>,
    /// The first byte that is wanted: what lies before it is here already.
    pub from: u64,
    /// A longer file is not fetched, in bytes from its beginning.
    pub most: u64,
}

/// Who has written an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// Labelbox, for a file of its own making.
    Labelbox,
    /// Whoever may add data to a workspace, or label it.
    Anybody,
}

/// What is here of a file already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known<'a> {
    /// Nothing, or what will not have changed.
    Nothing,
    /// All before [`Source::from`], of this version: if it is another one now, the file begins anew.
    Beginning(&'a Version),
    /// All of it, of this version: if it still is this one, nothing is sent. Only a version that [is
    /// exact](Version::is_exact) is asked for.
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

/// Why a file does not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DownloadError {
    /// It may come later.
    #[error("{0}")]
    Transient(Trouble),
    /// The address does not hold, or does not hold any longer: ask for another one.
    #[error("{0}")]
    Refused(String),
}

/// What keeps a file away for now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Trouble {
    /// A sentence for people.
    pub text: String,
    /// How long its server wishes not to be asked again, at most an hour.
    pub retry_after: Option<Duration>,
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
        let cannot = |error: reqwest::Error| DownloadError::transient(error.to_string());
        let builder = || outbound::client_builder().read_timeout(limits.silence);
        let judging = |proxies| builder().dns_resolver(Arc::new(Resolver::new(&reach, proxies)));
        let (labelbox, strangers) = match proxy {
            // The proxy's own host may be anywhere.
            Some(proxy) => {
                let proxy = Proxy::all(proxy).map_err(cannot)?;
                let client = builder().proxy(proxy).build().map_err(cannot)?;
                (client.clone(), client)
            }
            None => (
                judging(outbound::proxy_hosts()).build().map_err(cannot)?,
                judging(Vec::new()).no_proxy().build().map_err(cannot)?,
            ),
        };
        Ok(Self {
            named: builder().build().map_err(cannot)?,
            labelbox,
            strangers,
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
        download.ok_or_else(|| ask::status_error(StatusCode::NOT_MODIFIED, None))
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
        let may_be_same = headers.contains_key(IF_NONE_MATCH);
        let response = ask::ask(self, source, headers).await?;
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
                Download::begin(response, source, self.limits).map(Some)
            }
            StatusCode::NOT_MODIFIED if may_be_same => Ok(None),
            _ => Err(ask::refusal(&response)),
        }
    }
}

impl DownloadError {
    /// Something that may pass, and nobody says when.
    #[must_use]
    pub const fn transient(text: String) -> Self {
        let retry_after = None;
        Self::Transient(Trouble { text, retry_after })
    }
}

impl Version {
    /// Whether a server that calls this version unchanged means that it is the same byte for byte. By a date it only says
    /// that there is none newer, and it says so of an older one that has taken the place, too.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        matches!(self, Self::Tag(tag) if tag.starts_with('"'))
    }

    /// Whether a file of this version can be taken up where it was cut.
    fn is_strong(&self) -> bool {
        self.is_exact() || matches!(self, Self::Date(_))
    }
}
