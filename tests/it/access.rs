//! Whose requests are taken, and what is told of those that are not.

use serde_json::Value;
use trainhook::config::Access;

use crate::support::{
    clicks::{accepted, address, body_for, post_at},
    labelbox_door::signed,
    raw_http::{Answer, ask},
    stack::{SECRET, Stack, model, settings, workspace},
};

const OTHER_SECRET: &str = "the webhook secret of another team";

async fn server_with(server: &str) -> Stack {
    Stack::start_whole(|endpoint| {
        let settings = settings().replace("[server]\n", &format!("[server]\n{server}\n"));
        let executor = "[executors.local]\nkind = \"local\"\n";
        settings + &workspace("main", "/", endpoint) + executor + &model("digits", "true", "")
    })
    .await
}

/// A click with these headers beside its signature.
async fn post_with(stack: &Stack, headers: &[(&str, &str)]) -> Answer {
    let body = body_for(&stack.new_run(), "digits");
    let signature = signed(SECRET, body.as_bytes());
    let mut all = vec![("X-Hub-Signature", signature.as_str())];
    all.extend(headers);
    ask(
        address(stack),
        "POST",
        "/model_run",
        &all,
        Some(body.as_bytes()),
    )
    .await
}

fn refused(stack: &Stack) -> Vec<Value> {
    let list = stack.trainhook(&["jobs", "rejected", "--json"]);
    let list: Value = serde_json::from_str(&list).expect("JSON");
    list["refused"].as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_is_not_allowed_is_refused_however_well_it_signs() {
    let stack = server_with("allow = [\"labelbox\", \"10.0.0.0/8\"]").await;
    let answer = post_with(&stack, &[]).await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (403, "foreign_sender")
    );
    // Whoever is not a trusted proxy may claim what it likes.
    let answer = post_with(&stack, &[("X-Forwarded-For", "35.223.142.181")]).await;
    assert_eq!(answer.status, 403);
    let ping = ask(address(&stack), "GET", "/ping", &[], None).await;
    assert_eq!(ping.status, 200, "whoever watches the server may ask");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_is_believed_about_the_last_hop_only() {
    let stack = server_with("allow = [\"labelbox\"]\ntrusted_proxies = [\"127.0.0.1\"]").await;
    let from = |hops: &'static str| [("X-Forwarded-For", hops)];
    accepted(&post_with(&stack, &from("35.223.142.181")).await);
    accepted(&post_with(&stack, &from("1.2.3.4, 34.135.127.45")).await);
    accepted(&post_with(&stack, &from("34.135.127.45, 127.0.0.1")).await);
    for hops in [
        "35.223.142.181, 1.2.3.4",
        "",
        "unknown",
        "35.223.142.181, unknown",
    ] {
        let answer = post_with(&stack, &from(hops)).await;
        assert_eq!(answer.status, 403, "{hops}");
    }
    let last = refused(&stack);
    assert_eq!(last.len(), 4);
    assert_eq!(last[3]["sender"], "1.2.3.4");
}

#[test]
fn an_address_is_the_same_in_both_families_and_with_a_port() {
    let access = Access {
        allow: Some(vec!["1.2.3.0/24".parse().expect("a network")]),
        trusted_proxies: vec!["::1/128".parse().expect("a network")],
    };
    let proxy = "::1".parse().expect("an address");
    for hop in [
        "1.2.3.4",
        "1.2.3.4:5678",
        "::ffff:1.2.3.4",
        "[::ffff:1.2.3.4]:99",
        " 1.2.3.4 ",
    ] {
        let sender = access.sender(proxy, [hop].into_iter());
        assert!(access.allows(sender), "{hop}: {sender}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_signature_is_explained_to_us_and_not_to_its_sender() {
    let stack = Stack::start(&model("digits", "true", "")).await;
    let body = body_for("r1", "digits");
    let spaced = body.replace(':', ": ").replace(',', ", ");
    let lined = format!("{body}\n");
    let sent_with = [
        (signed(SECRET, lined.as_bytes()), "newline"),
        (signed(SECRET, b""), "empty body"),
        (signed(SECRET, spaced.as_bytes()), "rewrites"),
        (
            signed(&format!("{SECRET}\n"), body.as_bytes()),
            "end of the secret",
        ),
        ("sha256=00".to_owned(), "SHA-1"),
    ];
    for (signature, word) in sent_with {
        let headers = [("X-Hub-Signature", signature.as_str())];
        let sent = Some(body.as_bytes());
        let answer = ask(address(&stack), "POST", "/model_run", &headers, sent).await;
        assert_eq!(answer.status, 401);
        assert!(!answer.body.contains(word), "{}", answer.body);
        let last = refused(&stack)[0]["diagnosis"].to_string();
        assert!(last.contains(word), "{word}: {last}");
        assert!(!last.contains(SECRET));
    }
    let unknown = (signed(SECRET, b"something else"), "signed a request at");
    for known in [false, true] {
        let headers = [("X-Hub-Signature", unknown.0.as_str())];
        let sent = Some(body.as_bytes());
        ask(address(&stack), "POST", "/model_run", &headers, sent).await;
        let last = refused(&stack)[0]["diagnosis"].to_string();
        assert_eq!(last.contains(unknown.1), known, "{last}");
        // From now on it is known that the secret is right.
        accepted(&post_with(&stack, &[]).await);
    }
    let told = stack.trainhook(&["jobs", "rejected"]);
    assert!(
        told.contains("POST /model_run") && told.contains("401"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_the_wrong_path_is_told_apart() {
    let place = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(place.path(), OTHER_SECRET).expect("it is writable");
    let stack = Stack::start_whole(|endpoint| {
        let secret = format!("{:?}", place.path());
        let other = workspace("other", "/other", endpoint).replace("\"secret\"", &secret);
        let executor = "[executors.local]\nkind = \"local\"\n";
        let models = model("digits", "true", "");
        settings() + &workspace("main", "/", endpoint) + &other + executor + &models
    })
    .await;
    let body = body_for(&stack.new_run(), "digits");
    let answer = post_at(&stack, "", OTHER_SECRET, &body).await;
    assert_eq!(answer.status, 401);
    let answer = post_at(&stack, "/lost", SECRET, &body).await;
    assert_eq!(answer.status, 404);
    let last = refused(&stack);
    let diagnosis = |n: usize| last[n]["diagnosis"].as_str().expect("a text").to_owned();
    assert!(
        diagnosis(1).contains("workspace other") && diagnosis(1).contains("/other"),
        "{last:?}"
    );
    assert!(diagnosis(0).contains("are at /, /other"), "{last:?}");
    assert!(!format!("{last:?}").contains(OTHER_SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn unsigned_requests_are_taken_only_where_that_is_asked_for_by_name() {
    let stack = Stack::start_whole(|endpoint| {
        let signed = "webhook_secrets = [{ file = \"secret\" }]";
        let open = workspace("main", "/", endpoint).replace(signed, "unsigned = true");
        let executor = "[executors.local]\nkind = \"local\"\n";
        settings() + &open + executor + &model("digits", "true", "")
    })
    .await;
    stack.server.logged("takes unsigned requests").await;
    let body = body_for(&stack.new_run(), "digits");
    let sent = Some(body.as_bytes());
    accepted(&ask(address(&stack), "POST", "/model_run", &[], sent).await);
}
