//! Fetching what addresses from outside lead to: result files of Labelbox's, and media that anybody may have named.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{
    StatusCode,
    header::{CONTENT_RANGE, RANGE},
};

use crate::{config::Secret, outbound};

/// A server that sends nothing for this long is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// Fetches files over HTTP. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Downloads {
    http: reqwest::Client,
}

/// What is to be fetched.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Its whole address.
    pub url: &'a str,
    /// Sent as `Authorization: Bearer`, for addresses at Labelbox's own host.
    pub bearer: Option<&'a Secret>,
    /// The first byte that is wanted: what lies before it is here already.
    pub from: u64,
    /// A longer file is not fetched, in bytes from its beginning.
    pub most: u64,
}

/// A file on its way.
#[derive(Debug)]
pub struct Download {
    response: reqwest::Response,
    /// The place of the next byte in the whole file.
    at: u64,
    most: u64,
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

impl Downloads {
    /// A client for all downloads of a server.
    ///
    /// # Errors
    /// When no TLS is to be had, such as without any certificates.
    pub fn new() -> Result<Self, DownloadError> {
        let http = outbound::client_builder().read_timeout(SILENCE).build();
        let http = http.map_err(|error| DownloadError::Transient(error.to_string()))?;
        Ok(Self { http })
    }

    /// Asks for a file and reads the head of the answer.
    ///
    /// # Errors
    /// When it does not come; see [`DownloadError`].
    pub async fn open(&self, source: Source<'_>) -> Result<Download, DownloadError> {
        let mut request = self.http.get(source.url);
        if source.from > 0 {
            request = request.header(RANGE, format!("bytes={}-", source.from));
        }
        if let Some(bearer) = source.bearer {
            request = request.bearer_auth(bearer.expose());
        }
        let response = request.send().await.map_err(|error| transient(&error))?;
        let at = match response.status() {
            StatusCode::PARTIAL_CONTENT => range_start(&response).unwrap_or(source.from),
            status if status.is_success() => 0,
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(DownloadError::Transient(format!("answered {status}")));
            }
            status => return Err(DownloadError::Refused(format!("answered {status}"))),
        };
        Ok(Download {
            response,
            at,
            most: source.most,
        })
    }
}

impl Download {
    /// The place of the next byte in the whole file: 0 where the server begins anew, whatever was wanted.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// When they do not come, or the file is longer than was allowed.
    pub async fn next(&mut self) -> Result<Option<Bytes>, DownloadError> {
        let bytes = self
            .response
            .chunk()
            .await
            .map_err(|error| transient(&error))?;
        self.at += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        match self.at > self.most {
            true => {
                let text = format!("the file is longer than {} bytes", self.most);
                Err(DownloadError::Refused(text))
            }
            false => Ok(bytes),
        }
    }
}

fn range_start(response: &reqwest::Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (start, _) = range.strip_prefix("bytes ")?.split_once('-')?;
    start.parse().ok()
}

/// Without the address: its query may be as good as a key.
fn transient(error: &reqwest::Error) -> DownloadError {
    let mut text = String::from("the connection failed");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    DownloadError::Transient(text)
}
