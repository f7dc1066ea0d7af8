//! Where redirects may lead.

use trainhook::{config::Secret, downloads::Source};

use super::{
    downloads, fetch,
    hostile::{Act, Hostile, head, redirect, whole},
    refused, source,
};

/// A server whose paths `/1`, `/2` … are that many redirects away from a file.
async fn stairs() -> Hostile {
    Hostile::start("127.0.0.1", |_, head| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let answer = match path.trim_start_matches('/').parse::<u32>() {
            Ok(0) | Err(_) => whole(b"the end", &[]),
            Ok(step) => redirect(&format!("/{}", step - 1)),
        };
        vec![Act::Send(answer)]
    })
    .await
}

#[tokio::test]
async fn three_redirects_are_followed_and_no_fourth() {
    let server = stairs().await;
    let downloads = downloads(&["127.0.0.1/32"], &[]);
    let content = fetch(&downloads, source(&server.url("/3"))).await;
    assert_eq!(content.expect("a file"), b"the end");
    let text = refused(fetch(&downloads, source(&server.url("/4"))).await);
    assert!(text.contains("more than 3 redirects"), "{text}");
    assert_eq!(server.heads().len(), 4 + 4);
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let server = Hostile::answering("127.0.0.1", redirect("/again?key=hidden")).await;
    let downloads = downloads(&["127.0.0.1/32"], &[]);
    let text = refused(fetch(&downloads, source(&server.url("/"))).await);
    assert!(!text.contains("hidden"), "{text}");
    assert_eq!(server.heads().len(), 4);
}

#[tokio::test]
async fn a_redirect_is_judged_like_any_address() {
    let inside = Hostile::answering("127.0.0.3", whole(b"secret", &[])).await;
    let downloads = downloads(&["127.0.0.1/32"], &[]);
    for (to, why) in [
        (inside.url("/"), "no public address"),
        (inside.url("/").replace("http:", ""), "no public address"),
        (
            "http://169.254.169.254/latest".to_owned(),
            "no public address",
        ),
        ("file:///etc/passwd".to_owned(), "neither http"),
        ("http://user:word@example.invalid/".to_owned(), "a password"),
        ("http://[half".to_owned(), "no address"),
    ] {
        let outside = Hostile::answering("127.0.0.1", redirect(&to)).await;
        let text = refused(fetch(&downloads, source(&outside.url("/"))).await);
        assert!(text.contains(why), "{to}: {text}");
    }
    assert_eq!(inside.heads(), Vec::<String>::new());
}

#[tokio::test]
async fn a_redirect_to_nowhere_is_no_file() {
    let server =
        Hostile::answering("127.0.0.1", head("302 Found", &[("content-length", "0")])).await;
    let downloads = downloads(&["127.0.0.1/32"], &[]);
    let text = refused(fetch(&downloads, source(&server.url("/"))).await);
    assert!(text.contains("redirects to nowhere"), "{text}");
}

#[tokio::test]
async fn a_key_ends_at_its_host_even_where_the_way_leads_back() {
    let storage = Hostile::start("127.0.0.2", |_, head| {
        let back = head
            .split("back=")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        vec![Act::Send(match back {
            Some(port) => redirect(&format!("http://127.0.0.1:{port}/end")),
            None => whole(b"a file", &[]),
        })]
    })
    .await;
    let away = storage.url("/");
    let labelbox = Hostile::start("127.0.0.1", move |_, head| {
        vec![Act::Send(match head {
            _ if head.starts_with("get /within") => redirect("/away"),
            _ if head.starts_with("get /end") => whole(b"back", &[]),
            _ if head.starts_with("get /away") => redirect(&away),
            _ => {
                let port = head
                    .split("host: 127.0.0.1:")
                    .nth(1)
                    .and_then(|rest| rest.lines().next());
                redirect(&format!("{away}?back={}", port.unwrap_or_default()))
            }
        })]
    })
    .await;
    let downloads = downloads(&["127.0.0.2/32"], &[&labelbox.url("/graphql")]);
    let key = Secret::new("the-key");
    for path in ["/within", "/there-and-back"] {
        let url = labelbox.url(path);
        let bearer = Some(&key);
        fetch(
            &downloads,
            Source {
                bearer,
                ..source(&url)
            },
        )
        .await
        .expect("a file");
    }
    let has_key = |heads: Vec<String>| -> Vec<bool> {
        heads.iter().map(|head| head.contains("the-key")).collect()
    };
    assert_eq!(has_key(labelbox.heads()), [true, true, true, false]);
    assert_eq!(has_key(storage.heads()), [false, false]);
}
