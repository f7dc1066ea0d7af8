//! Which hosts are called at all.

use trainhook::{
    config::{Current, Secret},
    downloads::{Author, Downloads, Limits, Reach, Source},
};

use super::{
    downloads, fetch,
    hostile::{Hostile, whole},
    refused, source, transient,
};

#[tokio::test]
async fn an_address_that_is_not_public_is_never_called() {
    let server = Hostile::answering("127.0.0.1", whole(b"secret", &[])).await;
    let port = server.address.port();
    let downloads = downloads(&[], &[]);
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::1]",
        "[2001:db8::1]",
        "[fe80::1]",
        "[fd00::1]",
        "[ff02::1]",
        "[fec0::1]",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.168.0.1",
        "198.19.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        let url = format!("http://{host}:{port}/");
        let text = refused(fetch(&downloads, source(&url)).await);
        assert!(text.contains("is no public address"), "{host}: {text}");
    }
    assert_eq!(server.heads(), Vec::<String>::new());
}

#[tokio::test]
async fn a_name_is_what_it_is_when_it_is_called() {
    let server = Hostile::answering("127.0.0.1", whole(b"secret", &[])).await;
    let url = format!("http://localhost:{}/?key=hidden", server.address.port());
    let text = refused(fetch(&downloads(&[], &[]), source(&url)).await);
    assert!(
        text.contains("localhost is at") && text.contains("media_allow"),
        "{text}"
    );
    assert_eq!(server.heads(), Vec::<String>::new());
    let allowed = downloads(&["127.0.0.0/8", "::1/128"], &[]);
    let content = fetch(&allowed, source(&url)).await.expect("it is allowed");
    assert_eq!(content, b"secret");
}

#[tokio::test]
async fn what_the_settings_name_is_reached_by_host_and_port() {
    let server = Hostile::answering("127.0.0.1", whole(b"a file", &[])).await;
    let other = Hostile::answering("127.0.0.1", whole(b"secret", &[])).await;
    let endpoint = server.url("/graphql");
    let downloads = downloads(&[], &[&endpoint]);
    let url = server.url("/files/1");
    let content = fetch(&downloads, source(&url)).await.expect("it is named");
    assert_eq!(content, b"a file");
    refused(fetch(&downloads, source(&other.url("/"))).await);
    assert_eq!(other.heads(), Vec::<String>::new());
}

#[tokio::test]
async fn a_reload_changes_what_is_reached() {
    let server = Hostile::answering("127.0.0.1", whole(b"a file", &[])).await;
    let reach = Current::new(Reach::default());
    let downloads = Downloads::reaching(reach.clone(), Limits::default(), None).expect("a client");
    let url = server.url("/");
    refused(fetch(&downloads, source(&url)).await);
    reach.replace(Reach {
        allowed: vec!["127.0.0.1/32".parse().expect("a network")],
        ..Reach::default()
    });
    fetch(&downloads, source(&url))
        .await
        .expect("now it is allowed");
}

#[tokio::test]
async fn only_the_web_is_spoken_and_no_passwords_are_taken() {
    let downloads = downloads(&["127.0.0.0/8"], &[]);
    for (url, why) in [
        ("ftp://192.0.2.1/file", "neither http"),
        ("file:///etc/passwd", "neither http"),
        ("gs://bucket/file", "neither http"),
        ("http://user:word@127.0.0.1:1/", "a password"),
        ("http://user@127.0.0.1:1/", "a password"),
        ("no address", "no address"),
        ("", "no address"),
    ] {
        let text = refused(fetch(&downloads, source(url)).await);
        assert!(
            text.contains(why) && !text.contains("word@"),
            "{url}: {text}"
        );
    }
}

#[tokio::test]
async fn a_key_goes_to_labelboxs_host_alone() {
    let labelbox = Hostile::answering("127.0.0.1", whole(b"a mask", &[])).await;
    let storage = Hostile::answering("127.0.0.2", whole(b"a file", &[])).await;
    let endpoint = labelbox.url("/graphql");
    let downloads = downloads(&["127.0.0.2/32"], &[&endpoint]);
    let key = Secret::new("the-key");
    for server in [&labelbox, &storage] {
        let url = server.url("/mask");
        let source = Source {
            bearer: Some(&key),
            ..source(&url)
        };
        fetch(&downloads, source).await.expect("a file");
    }
    assert!(labelbox.heads()[0].contains("authorization: bearer the-key"));
    assert!(!storage.heads()[0].contains("the-key"));
}

#[tokio::test]
async fn a_proxy_that_is_named_gets_every_call_of_strangers() {
    let proxy = Hostile::answering("127.0.0.1", whole(b"by proxy", &[])).await;
    let reach = Current::new(Reach::default());
    let address = proxy.url("");
    let downloads =
        Downloads::reaching(reach, Limits::default(), Some(&address)).expect("a client");
    let url = "http://files.example.invalid/a?b=c";
    let content = fetch(&downloads, source(url))
        .await
        .expect("the proxy answers");
    assert_eq!(content, b"by proxy");
    assert!(proxy.heads()[0].starts_with("get http://files.example.invalid/a?b=c http/1.1"));
    // So does what Labelbox has named.
    let told = Source {
        author: Author::Labelbox,
        ..source(url)
    };
    fetch(&downloads, told).await.expect("the proxy answers");
    assert_eq!(proxy.heads().len(), 2);
    // What can be judged here is judged here.
    refused(fetch(&downloads, source("http://169.254.169.254/")).await);
    assert_eq!(proxy.heads().len(), 2);
}

/// Proxies are read from the environment, so this runs itself again in one of its own.
#[tokio::test]
async fn what_labelbox_has_named_goes_by_the_environments_proxy_and_nothing_else_does() {
    const PROXY: &str = "http_proxy";
    const NAME: &str = "downloads::hosts::what_labelbox_has_named_goes_by_the_environments_proxy_and_nothing_else_does";
    if std::env::var("TRAINHOOK_TEST_BEHIND_PROXY").is_err() {
        let proxy = Hostile::answering("127.0.0.1", whole(b"by proxy", &[])).await;
        let program = std::env::current_exe().expect("the tests' own program");
        let output = tokio::process::Command::new(program)
            .args(["--exact", NAME])
            .env("TRAINHOOK_TEST_BEHIND_PROXY", "1")
            // By a name, whose address is no public one.
            .env(PROXY, format!("LocalHost:{}", proxy.address.port()))
            .output();
        let output = output.await.expect("the program runs");
        assert!(output.status.success(), "{output:?}");
        assert!(proxy.heads()[0].starts_with("get http://storage.example.invalid/piece http/1.1"));
        assert_eq!(proxy.heads().len(), 1);
        return;
    }
    let downloads = downloads(&[], &[]);
    let told = |url| Source {
        author: Author::Labelbox,
        ..source(url)
    };
    let url = "http://storage.example.invalid/piece";
    let content = fetch(&downloads, told(url))
        .await
        .expect("the proxy answers");
    assert_eq!(content, b"by proxy");
    transient(fetch(&downloads, source(url)).await);
    refused(fetch(&downloads, told("http://169.254.169.254/")).await);
}
