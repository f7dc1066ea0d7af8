//! What is taken of a body, and for how long.

use std::{io::Write, time::Duration};

use flate2::{Compression, write::GzEncoder};
use trainhook::downloads::Limits;

use super::{
    SOON, downloads, fetch,
    hostile::{Act, Hostile, head, whole},
    refused, source, transient, with_limits,
};

const LOOPBACK: &[&str] = &["127.0.0.1/32"];

fn packed(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).expect("memory");
    encoder.finish().expect("memory")
}

#[tokio::test]
async fn a_file_that_is_too_long_is_given_up_at_its_head() {
    let server = Hostile::start("127.0.0.1", |_, _| {
        vec![
            Act::Send(head("200 OK", &[("content-length", "1000001")])),
            Act::Hang,
        ]
    })
    .await;
    let text = refused(fetch(&downloads(LOOPBACK, &[]), source(&server.url("/"))).await);
    assert!(text.contains("longer than 1000000 bytes"), "{text}");
}

#[tokio::test]
async fn a_body_without_end_is_given_up_at_the_bound() {
    let server = Hostile::start("127.0.0.1", |_, _| {
        let chunk = [b"1000\r\n".as_slice(), &[b'x'; 4096], b"\r\n"].concat();
        vec![
            Act::Send(head("200 OK", &[("transfer-encoding", "chunked")])),
            Act::Flood(chunk),
        ]
    })
    .await;
    let text = refused(fetch(&downloads(LOOPBACK, &[]), source(&server.url("/"))).await);
    assert!(text.contains("longer than"), "{text}");
}

#[tokio::test]
async fn a_packed_body_counts_as_what_comes_out_of_it() {
    let (bomb, good) = (packed(&vec![0; 50_000_000]), packed(&vec![7; 900_000]));
    assert!(bomb.len() < 100_000);
    let server = Hostile::start("127.0.0.1", move |before, _| {
        let body = [&bomb, &good][before.min(1)];
        vec![Act::Send(whole(body, &[("content-encoding", "gzip")]))]
    })
    .await;
    let downloads = downloads(LOOPBACK, &[]);
    let text = refused(fetch(&downloads, source(&server.url("/"))).await);
    assert!(text.contains("longer than"), "{text}");
    let content = fetch(&downloads, source(&server.url("/")))
        .await
        .expect("a file");
    assert_eq!(content, vec![7; 900_000]);
}

#[tokio::test]
async fn a_packed_body_that_is_cut_is_no_file() {
    let noise: Vec<u8> = (0..100_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let body = packed(&noise);
    let server = Hostile::start("127.0.0.1", move |_, _| {
        let headers = [
            ("content-encoding", "gzip"),
            ("transfer-encoding", "chunked"),
        ];
        let half = &body[..body.len() / 2];
        let chunk = [
            format!("{:x}\r\n", half.len()).as_bytes(),
            half,
            b"\r\n0\r\n\r\n",
        ]
        .concat();
        vec![Act::Send(head("200 OK", &headers)), Act::Send(chunk)]
    })
    .await;
    transient(fetch(&downloads(LOOPBACK, &[]), source(&server.url("/"))).await);
}

#[tokio::test]
async fn less_than_was_announced_is_no_file() {
    let server = Hostile::start("127.0.0.1", |_, _| {
        let head = head("200 OK", &[("content-length", "100")]);
        vec![Act::Send(head), Act::Send(b"half".to_vec())]
    })
    .await;
    transient(
        fetch(
            &downloads(LOOPBACK, &[]),
            source(&server.url("/?key=hidden")),
        )
        .await,
    );
}

#[tokio::test]
async fn a_part_that_nobody_wanted_is_no_file() {
    let answer = head(
        "206 Partial Content",
        &[("content-range", "bytes 5-9/10"), ("content-length", "5")],
    );
    let server = Hostile::answering("127.0.0.1", [answer, b"later".to_vec()].concat()).await;
    let text = transient(fetch(&downloads(LOOPBACK, &[]), source(&server.url("/"))).await);
    assert!(text.contains("another part"), "{text}");
}

#[tokio::test]
async fn a_part_of_a_file_of_unknown_length_is_no_file() {
    for body in [b"begin".as_slice(), b"beg"] {
        let length = body.len().to_string();
        let headers = [
            ("content-range", "bytes 0-4/*"),
            ("content-length", length.as_str()),
        ];
        let answer = [head("206 Partial Content", &headers), body.to_vec()].concat();
        let server = Hostile::answering("127.0.0.1", answer).await;
        let text = transient(fetch(&downloads(LOOPBACK, &[]), source(&server.url("/"))).await);
        assert!(text.contains("of a part up to 5"), "{text}");
    }
}

#[tokio::test]
async fn a_part_that_ends_before_the_file_does_is_no_file() {
    let headers = [("content-range", "bytes 0-4/10"), ("content-length", "5")];
    let answer = [head("206 Partial Content", &headers), b"begin".to_vec()].concat();
    let server = Hostile::answering("127.0.0.1", answer).await;
    let text = transient(fetch(&downloads(LOOPBACK, &[]), source(&server.url("/"))).await);
    assert!(text.contains("it ended at byte 5 of 10"), "{text}");
}

#[tokio::test]
async fn silence_is_given_up_before_and_within_a_body() {
    let limits = Limits {
        silence: SOON,
        ..Limits::default()
    };
    let downloads = with_limits(LOOPBACK, &[], limits);
    for begun in [Vec::new(), head("200 OK", &[("content-length", "10")])] {
        let server = Hostile::start("127.0.0.1", move |_, _| {
            vec![Act::Send(begun.clone()), Act::Hang]
        })
        .await;
        transient(fetch(&downloads, source(&server.url("/"))).await);
    }
}

#[tokio::test]
async fn a_body_that_drips_is_given_up_by_time_and_by_pace() {
    let server = Hostile::start("127.0.0.1", |_, _| {
        let head = head("200 OK", &[("content-length", "100000")]);
        vec![Act::Send(head), Act::Drip(Duration::from_millis(10))]
    })
    .await;
    let by_time = Limits {
        whole: SOON,
        ..Limits::default()
    };
    let text = transient(
        fetch(
            &with_limits(LOOPBACK, &[], by_time),
            source(&server.url("/")),
        )
        .await,
    );
    assert!(text.contains("did not come within"), "{text}");
    let by_pace = Limits {
        patience: SOON,
        ..Limits::default()
    };
    let text = transient(
        fetch(
            &with_limits(LOOPBACK, &[], by_pace),
            source(&server.url("/")),
        )
        .await,
    );
    assert!(text.contains("too slowly"), "{text}");
}

#[tokio::test]
async fn no_error_tells_an_addresss_query() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = nobody.local_addr().expect("an address").port();
    drop(nobody);
    let garbage = Hostile::answering("127.0.0.1", b"no HTTP at all\r\n\r\n".to_vec()).await;
    let forbidden = Hostile::answering(
        "127.0.0.1",
        head("403 Forbidden", &[("content-length", "0")]),
    )
    .await;
    let downloads = downloads(LOOPBACK, &[]);
    for url in [
        format!("http://127.0.0.1:{port}/a?key=hidden#hidden"),
        garbage.url("/a?key=hidden"),
        forbidden.url("/a?key=hidden"),
        "http://name.invalid/a?key=hidden".to_owned(),
        "http://10.0.0.1/a?key=hidden".to_owned(),
        "http://a b/?key=hidden".to_owned(),
    ] {
        let error = fetch(&downloads, source(&url)).await.expect_err("no file");
        assert!(
            !format!("{error} {error:?}").contains("hidden"),
            "{url}: {error}"
        );
    }
    let text = refused(fetch(&downloads, source(&forbidden.url("/"))).await);
    assert_eq!(text, "answered 403 Forbidden");
}
