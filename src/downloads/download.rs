//! A file on its way: where it is, how long it is, and when it is given up.

use std::time::Instant;

use bytes::Bytes;
use reqwest::{
    Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, LAST_MODIFIED},
};

use super::{DownloadError, Limits, Source, Version, ask};

/// What comes slower than this, in bytes a second, is given up.
const LEAST_PACE: u64 = 1024;

/// A file on its way.
#[derive(Debug)]
pub struct Download {
    response: Response,
    /// The place of the next byte in the whole file.
    at: u64,
    began_at: u64,
    length: Option<u64>,
    /// Where the part ends that was sent, if it is one.
    part_end: Option<u64>,
    most: u64,
    begun: Instant,
    limits: Limits,
}

impl Download {
    /// What comes behind a head that promises a file.
    pub(super) fn begin(
        response: Response,
        source: &Source<'_>,
        limits: Limits,
    ) -> Result<Self, DownloadError> {
        let (at, part_end, length) = match response.status() {
            StatusCode::PARTIAL_CONTENT => range(&response)
                .filter(|(start, ..)| *start <= source.from)
                .ok_or_else(|| DownloadError::transient("it sent another part".to_owned()))?,
            _ => (
                0,
                None,
                header(&response, CONTENT_LENGTH).and_then(|n| n.parse().ok()),
            ),
        };
        if length.is_some_and(|length| length > source.most) {
            return Err(too_long(source.most));
        }
        Ok(Self {
            response,
            at,
            began_at: at,
            length,
            part_end,
            most: source.most,
            begun: Instant::now(),
            limits,
        })
    }

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
            return Err(DownloadError::transient(text));
        };
        let Some(bytes) = chunk.map_err(|error| ask::explain(&error))? else {
            return self.check_end().map(|()| None);
        };
        self.at += bytes.len() as u64;
        if self.at > self.most {
            return Err(too_long(self.most));
        }
        self.check_pace().map(|()| Some(bytes))
    }

    /// A part of a file whose length nobody says may not be its last one: that is for the next answer to say.
    fn check_end(&self) -> Result<(), DownloadError> {
        let text = match (self.length, self.part_end) {
            (Some(length), _) if length != self.at => {
                format!("it ended at byte {} of {length}", self.at)
            }
            (None, Some(end)) => format!(
                "it ended at byte {} of a part up to {end}, and does not say how long the file is",
                self.at
            ),
            _ => return Ok(()),
        };
        Err(DownloadError::transient(text))
    }

    fn check_pace(&self) -> Result<(), DownloadError> {
        let passed = self.begun.elapsed();
        let least = LEAST_PACE.saturating_mul(passed.as_secs());
        match passed > self.limits.patience && self.at - self.began_at < least {
            true => Err(DownloadError::transient("it comes too slowly".to_owned())),
            false => Ok(()),
        }
    }
}

fn too_long(most: u64) -> DownloadError {
    DownloadError::Refused(format!("the file is longer than {most} bytes"))
}

fn header(response: &Response, name: HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}

/// Where the part begins and ends that was sent, and how long the whole file is.
fn range(response: &Response) -> Option<(u64, Option<u64>, Option<u64>)> {
    let range = header(response, CONTENT_RANGE)?.strip_prefix("bytes ")?;
    let (start, rest) = range.split_once('-')?;
    let (last, length) = rest.split_once('/')?;
    let end = last.parse::<u64>().ok()?.checked_add(1)?;
    Some((start.parse().ok()?, Some(end), length.parse().ok()))
}
