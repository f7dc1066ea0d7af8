//! Taking a file up where it was cut, and not fetching it again when it is the same.

use trainhook::downloads::{Download, Known, Source, Version};

use super::{
    downloads,
    hostile::{Act, Hostile, head, whole},
    source,
};

const LOOPBACK: &[&str] = &["127.0.0.1/32"];
const TAG: &str = "\"v1\"";

/// Ten bytes of one version, as a server of today would give them.
async fn server() -> Hostile {
    Hostile::start("127.0.0.1", |_, request| {
        let has = |line: &str| request.contains(line);
        let answer = match () {
            () if has("if-none-match: \"v1\"") => head("304 Not Modified", &[("etag", TAG)]),
            () if has("range: bytes=4-") && (has("if-range: \"v1\"") || !has("if-range")) => {
                let headers = [
                    ("etag", TAG),
                    ("content-range", "bytes 4-9/10"),
                    ("content-length", "6"),
                ];
                [head("206 Partial Content", &headers), b"456789".to_vec()].concat()
            }
            () => whole(b"0123456789", &[("etag", TAG)]),
        };
        vec![Act::Send(answer)]
    })
    .await
}

async fn open(server: &Hostile, from: u64, known: Known<'_>) -> Option<Download> {
    let url = server.url("/");
    let source = Source {
        from,
        ..source(&url)
    };
    let opened = downloads(LOOPBACK, &[]).open_stored(source, known).await;
    opened.expect("an answer")
}

async fn rest(answer: Option<Download>) -> (u64, String, Download) {
    let mut download = answer.expect("something comes");
    let (at, mut rest) = (download.position(), Vec::new());
    while let Some(bytes) = download.next().await.expect("bytes") {
        rest.extend_from_slice(&bytes);
    }
    (at, String::from_utf8(rest).expect("digits"), download)
}

#[tokio::test]
async fn the_same_version_is_taken_up_where_it_was_cut() {
    let server = server().await;
    let version = Version::Tag(TAG.to_owned());
    let (at, text, download) = rest(open(&server, 4, Known::Beginning(&version)).await).await;
    assert_eq!((at, text.as_str()), (4, "456789"));
    assert_eq!(
        (download.length(), download.version()),
        (Some(10), Some(version))
    );
    assert!(server.heads()[0].contains("accept-encoding: identity"));
}

#[tokio::test]
async fn another_version_begins_anew() {
    let server = server().await;
    let old = Version::Tag("\"v0\"".to_owned());
    let (at, text, _) = rest(open(&server, 4, Known::Beginning(&old)).await).await;
    assert_eq!((at, text.as_str()), (0, "0123456789"));
}

#[tokio::test]
async fn a_weak_version_is_not_taken_up() {
    let server = server().await;
    let weak = Version::Tag("W/\"v1\"".to_owned());
    let (at, _, _) = rest(open(&server, 4, Known::Beginning(&weak)).await).await;
    assert_eq!(at, 0);
    assert!(!server.heads()[0].contains("range:"));
}

#[tokio::test]
async fn a_file_that_is_here_is_not_sent_again() {
    let server = server().await;
    let version = Version::Tag(TAG.to_owned());
    let answer = open(&server, 0, Known::Whole(&version)).await;
    assert!(answer.is_none(), "{answer:?}");
}

#[tokio::test]
async fn nobody_is_believed_who_says_unchanged_unasked() {
    let server = Hostile::answering("127.0.0.1", head("304 Not Modified", &[])).await;
    let url = server.url("/");
    let downloads = downloads(LOOPBACK, &[]);
    let opened = downloads.open_stored(source(&url), Known::Nothing).await;
    opened.expect_err("nothing is here");
}
