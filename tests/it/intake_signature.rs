//! Who may knock at Labelbox's door: every signature vector, and every way to be wrong.

use serde_json::Value;
use trainhook::signature::SignatureError;

use crate::support::{
    labelbox_door::{
        Door, SECRET, Settings, assert_refused, list, signed, webhook_secrets, workspace,
    },
    raw_http::ask,
};

const VECTORS: &str = include_str!("../fixtures/labelbox/signature_vectors.json");

/// The signature that Labelbox sends with GET /models for [`SECRET`].
const EMPTY_BODY: &str = "sha1=b33b3b73cc2715209467aca3e7d3453b7256e9ca";

#[test]
fn every_vector_is_verified_and_nothing_else() {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).expect("vectors");
    assert_eq!(vectors.len(), 6);
    for vector in vectors {
        let text = |key: &str| vector[key].as_str().expect("a text").to_owned();
        let (body, right) = (text("body_utf8"), text("X-Hub-Signature"));
        let secret = text("secret");
        let secrets = webhook_secrets(&["another", &secret]);
        let verify = |header: &str| secrets.verify(Some(header), body.as_bytes());
        assert_eq!(signed(&secret, body.as_bytes()), right);
        assert_eq!(verify(&right), Ok(1));
        for wrong in ["NOT this: sha1(secret+body)", "NOT this: sha1(body+secret)"] {
            assert_eq!(
                verify(&format!("sha1={}", text(wrong))),
                Err(SignatureError::Mismatch)
            );
        }
        let stronger = text("X-Hub-Signature-256 (webhook v2 example only)");
        assert_eq!(verify(&stronger), Err(SignatureError::Malformed));
        assert_eq!(
            verify(&right.to_uppercase()),
            Err(SignatureError::Malformed)
        );
    }
}

#[tokio::test]
async fn every_vector_passes_the_door_and_its_wrong_readings_do_not() {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).expect("vectors");
    for vector in vectors {
        let text = |key: &str| vector[key].as_str().expect("a text").to_owned();
        let (secret, body) = (text("secret"), text("body_utf8"));
        let titles = [
            "bounding_box",
            "text_multi_classification",
            "détecteur",
            "ner",
        ];
        let routes = vec![workspace("main", "/", &[&secret], &titles)];
        let door = Door::open(routes, Settings::default()).await;
        let (method, path) = if body.is_empty() {
            ("GET", "/models")
        } else {
            ("POST", "/model_run")
        };
        let send = async |signature: String| {
            let headers = [("X-Hub-Signature", signature.as_str())];
            let body = (!body.is_empty()).then_some(body.as_bytes());
            ask(door.address, method, path, &headers, body).await
        };
        for wrong in ["NOT this: sha1(secret+body)", "NOT this: sha1(body+secret)"] {
            let answer = send(format!("sha1={}", text(wrong))).await;
            assert_refused(&door, &answer, 401, "signature_mismatch", "");
        }
        assert_eq!(send(text("X-Hub-Signature")).await.status, 200, "{vector}");
    }
}

#[tokio::test]
async fn while_secrets_rotate_both_are_valid() {
    let routes = vec![workspace("main", "/", &["new", "old"], &["ner"])];
    let door = Door::open(routes, Settings::default()).await;
    assert_eq!(list(&door, "/models", "new").await.status, 200);
    assert_eq!(list(&door, "/models", "old").await.status, 200);
    assert_eq!(list(&door, "/models", "older").await.status, 401);
}

#[tokio::test]
async fn the_signature_header_has_no_case_but_its_value_has() {
    let door = Door::with_models(&["ner"]).await;
    let send =
        async |headers: &[(&str, &str)]| ask(door.address, "GET", "/models", headers, None).await;
    for name in ["X-Hub-Signature", "x-hub-signature", "X-HUB-SIGNATURE"] {
        assert_eq!(send(&[(name, EMPTY_BODY)]).await.status, 200, "{name}");
    }
    assert_refused(&door, &send(&[]).await, 401, "signature_missing", "missing");
    let bare = &EMPTY_BODY["sha1=".len()..];
    let upper = format!("sha1={}", bare.to_uppercase());
    for value in [
        "",
        "sha1=",
        bare,
        &upper,
        &EMPTY_BODY[..44],
        "sha256=00",
        "sha1=é",
    ] {
        let answer = send(&[("X-Hub-Signature", value)]).await;
        assert_refused(&door, &answer, 401, "signature_malformed", "40 hex digits");
    }
    let twice = send(&[
        ("X-Hub-Signature", EMPTY_BODY),
        ("x-hub-signature", EMPTY_BODY),
    ])
    .await;
    assert_refused(&door, &twice, 401, "signature_malformed", "");
}

#[tokio::test]
async fn a_get_with_a_body_is_verified_over_that_body() {
    let door = Door::with_models(&["ner"]).await;
    let send = async |signature: &str, body: &[u8]| {
        ask(
            door.address,
            "GET",
            "/models",
            &[("X-Hub-Signature", signature)],
            Some(body),
        )
        .await
    };
    assert_eq!(send(EMPTY_BODY, b"").await.status, 200);
    assert_eq!(send(&signed(SECRET, b"{}"), b"{}").await.status, 200);
    assert_eq!(send(EMPTY_BODY, b"{}").await.status, 401);
}

#[tokio::test]
async fn nothing_is_read_before_its_signature_is_right() {
    let door = Door::with_models(&["ner"]).await;
    let headers = [("X-Hub-Signature", EMPTY_BODY)];
    let answer = ask(
        door.address,
        "POST",
        "/model_run",
        &headers,
        Some(b"not json"),
    )
    .await;
    assert_refused(&door, &answer, 401, "signature_mismatch", "");
}
