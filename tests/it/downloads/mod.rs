//! Fetching files of strangers, at the wire: what is called, what is sent along, and what is taken.

mod bodies;
pub(crate) mod hostile;
mod hosts;
mod redirects;
mod resuming;

use std::time::Duration;

use trainhook::{
    config::Current,
    downloads::{Author, DownloadError, Downloads, Limits, Reach, Source},
};

/// Longer than this no test waits for a failure.
const SOON: Duration = Duration::from_millis(300);

/// A client with these networks allowed and these endpoints named.
fn downloads(allowed: &[&str], endpoints: &[&str]) -> Downloads {
    with_limits(allowed, endpoints, Limits::default())
}

fn with_limits(allowed: &[&str], endpoints: &[&str], limits: Limits) -> Downloads {
    let reach = Reach {
        allowed: allowed
            .iter()
            .map(|net| net.parse().expect("a network"))
            .collect(),
        endpoints: endpoints
            .iter()
            .map(|url| url.parse().expect("an address"))
            .collect(),
    };
    Downloads::reaching(Current::new(reach), limits, None).expect("a client")
}

fn source(url: &str) -> Source<'_> {
    Source {
        url,
        author: Author::Anybody,
        bearer: None,
        from: 0,
        most: 1_000_000,
    }
}

async fn fetch(downloads: &Downloads, source: Source<'_>) -> Result<Vec<u8>, DownloadError> {
    let mut download = downloads.open(source).await?;
    let mut all = Vec::new();
    while let Some(bytes) = download.next().await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

fn refused(result: Result<Vec<u8>, DownloadError>) -> String {
    match result {
        Err(DownloadError::Refused(text)) => text,
        other => panic!("not refused: {other:?}"),
    }
}

fn transient(result: Result<Vec<u8>, DownloadError>) -> String {
    match result {
        Err(DownloadError::Transient(trouble)) => trouble.text,
        other => panic!("not a failure that may pass: {other:?}"),
    }
}
