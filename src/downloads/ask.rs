//! One request for a file, through its redirects.

use std::{error::Error, time::Duration};

use jiff::Timestamp;
use reqwest::{
    RequestBuilder, Response, StatusCode, Url,
    header::{
        ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, IF_RANGE, LOCATION,
        RANGE, RETRY_AFTER,
    },
};

use super::{
    Author, DownloadError, Downloads, Known, Source, Trouble, Version,
    reach::{Forbidden, Reach},
};
use crate::{labelbox::retry_after, outbound};

/// A file may be so many addresses further on.
const REDIRECTS: usize = 3;

/// The head of an answer must be complete within this, finding the host included.
const HEAD_LIMIT: Duration = Duration::from_secs(60);

/// Asks along the redirects. Each address is judged anew, none leaves TLS again, and a key ends at its host.
pub(super) async fn ask(
    downloads: &Downloads,
    source: &Source<'_>,
    headers: HeaderMap,
) -> Result<Response, DownloadError> {
    let reach = downloads.reach.get();
    let mut url = parse(source.url)?;
    let mut bearer = source.bearer;
    for _ in 0..=REDIRECTS {
        reach.check(&url)?;
        let client = client_for(downloads, &reach, &url, source.author);
        let mut request = client.get(url.clone()).headers(headers.clone());
        if let Some(bearer) = bearer.filter(|_| reach.names(&url)) {
            request = request.bearer_auth(bearer.expose());
        }
        let response = send(request).await?;
        let Some(next) = next_address(&response, &url)? else {
            return Ok(response);
        };
        bearer = bearer.filter(|_| next.origin() == url.origin());
        url = next;
    }
    let text = format!("it is more than {REDIRECTS} redirects away");
    Err(DownloadError::Refused(text))
}

/// What is asked beside the address.
pub(super) fn headers(source: &Source<'_>, known: Known<'_>, stored: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    if stored || source.from > 0 {
        // A place in the file is a place among the bytes as they lie there, not as they are packed for the way.
        set(ACCEPT_ENCODING, "identity");
    }
    match known {
        Known::Beginning(version) if !version.is_strong() => return headers,
        Known::Beginning(Version::Tag(text) | Version::Date(text)) if source.from > 0 => {
            set(IF_RANGE, text);
        }
        Known::Whole(version @ Version::Tag(tag)) if version.is_exact() => set(IF_NONE_MATCH, tag),
        Known::Whole(_) | Known::Beginning(_) | Known::Nothing => {}
    }
    if source.from > 0 {
        set(RANGE, &format!("bytes={}-", source.from));
    }
    headers
}

fn client_for<'a>(
    downloads: &'a Downloads,
    reach: &Reach,
    url: &Url,
    author: Author,
) -> &'a reqwest::Client {
    match author {
        _ if reach.names(url) => &downloads.named,
        Author::Labelbox => &downloads.labelbox,
        Author::Anybody => &downloads.strangers,
    }
}

async fn send(request: RequestBuilder) -> Result<Response, DownloadError> {
    match tokio::time::timeout(HEAD_LIMIT, request.send()).await {
        Ok(sent) => sent.map_err(|error| explain(&error)),
        Err(_) => {
            let text = format!("no answer came within {} s", HEAD_LIMIT.as_secs());
            Err(DownloadError::transient(text))
        }
    }
}

/// Where the answer leads on to; none if it is the end.
fn next_address(response: &Response, url: &Url) -> Result<Option<Url>, DownloadError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let refused = |text: &str| DownloadError::Refused(text.to_owned());
    let location = response.headers().get(LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    let location = location.ok_or_else(|| refused("it redirects to nowhere"))?;
    let next = url.join(location);
    let mut next = next.map_err(|_| refused("it redirects to what is no address"))?;
    next.set_fragment(None);
    match (url.scheme(), next.scheme()) {
        ("https", "http") => Err(refused("it redirects from https:// to http://")),
        _ => Ok(Some(next)),
    }
}

fn parse(text: &str) -> Result<Url, DownloadError> {
    let url = Url::parse(text);
    let mut url = url.map_err(|error| DownloadError::Refused(format!("no address: {error}")))?;
    url.set_fragment(None);
    Ok(url)
}

/// What an answer says that is no success.
pub(super) fn refusal(response: &Response) -> DownloadError {
    let header = response.headers().get(RETRY_AFTER);
    let wait = header.and_then(|header| retry_after(header.to_str().ok()?, Timestamp::now()));
    status_error(response.status(), wait)
}

/// What a status other than success says.
pub(super) fn status_error(status: StatusCode, retry_after: Option<Duration>) -> DownloadError {
    let text = format!("answered {status}");
    // Too many calls: a wish to wait, also where no time is named.
    let retry_after = match status {
        StatusCode::TOO_MANY_REQUESTS => retry_after.or(Some(Duration::ZERO)),
        _ => retry_after,
    };
    let may_pass = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    match status.is_server_error() || may_pass.contains(&status) {
        true => DownloadError::Transient(Trouble { text, retry_after }),
        false => DownloadError::Refused(text),
    }
}

/// Without the address: its query may be as good as a key.
pub(super) fn explain(error: &reqwest::Error) -> DownloadError {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(forbidden) = cause.downcast_ref::<Forbidden>() {
            return DownloadError::Refused(forbidden.to_string());
        }
        source = cause.source();
    }
    match error.is_builder() {
        true => DownloadError::Refused("its address cannot be called".to_owned()),
        false => {
            let why = error.source().map(outbound::innermost);
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            DownloadError::transient(format!("the connection failed{why}"))
        }
    }
}
