//! Who may ask.

use serde_json::json;

use super::{Headers, call, get, refused, stack};

#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_nothing_is_told() {
    let stack = stack().await;
    for headers in [
        Headers::of(&stack).without("Authorization"),
        Headers::of(&stack).with("Authorization", "Bearer 00"),
        Headers::of(&stack).with("Authorization", "Basic Zm9v"),
    ] {
        refused(
            &call(&stack, headers, "/api/jobs", None).await,
            401,
            "unauthorized",
        );
    }
    assert_eq!(get(&stack, "/api/jobs").await.status, 200);
    for path in ["/healthz", "/readyz"] {
        let bare = Headers(Vec::new()).with("Host", "localhost");
        assert_eq!(call(&stack, bare, path, None).await.status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_are_refused() {
    let stack = stack().await;
    for (name, value) in [
        ("Host", "evil.example"),
        ("Host", "127.0.0.1.evil.example"),
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
    ] {
        let headers = Headers::of(&stack).with(name, value);
        refused(
            &call(&stack, headers, "/api/jobs", None).await,
            403,
            "forbidden",
        );
        let headers = Headers::of(&stack).with(name, value);
        refused(
            &call(&stack, headers, "/healthz", None).await,
            403,
            "forbidden",
        );
    }
    let own = Headers::of(&stack).with("Origin", "http://127.0.0.1");
    assert_eq!(call(&stack, own, "/api/jobs", None).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_something_must_say_that_it_means_to() {
    let stack = stack().await;
    let start = json!({"model": "quick", "modelRunId": stack.new_run(), "actor": "a tester"});
    let unmarked = Headers::of(&stack).without("X-Trainhook");
    refused(
        &call(&stack, unmarked, "/api/start", Some(&start)).await,
        403,
        "forbidden",
    );
    let form = Headers::of(&stack).with("Content-Type", "text/plain");
    refused(
        &call(&stack, form, "/api/start", Some(&start)).await,
        415,
        "not_json",
    );
    assert_eq!(get(&stack, "/api/jobs").await.json(), json!({"jobs": []}));
    refused(&get(&stack, "/api/start").await, 405, "method_not_allowed");
}
