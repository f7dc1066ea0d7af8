//! The signature's header: one text opens, whatever else is sent.

use proptest::prelude::{Strategy, any, prop_oneof};
use trainhook::{
    config::Secret,
    signature::{SignatureError, WebhookSecrets, sign},
};

use super::{always, bytes, damaged};

/// Secrets, the text of a header that one of them may have made, and a body.
fn requests() -> impl Strategy<Value = (String, String, Vec<u8>)> {
    (".{1,40}", bytes()).prop_flat_map(|(secret, body)| {
        let right = sign(&Secret::new(secret.clone()), &body);
        let nearly = damaged(proptest::strategy::Just(right.into_bytes()));
        let header = prop_oneof![
            3 => nearly.prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            1 => any::<String>(),
            1 => "sha1=[0-9a-fA-F]{38,42}",
        ];
        header.prop_map(move |header| (secret.clone(), header, body.clone()))
    })
}

#[test]
fn one_header_opens_and_no_other() {
    always(requests(), |(secret, header, body)| {
        let secret = Secret::new(secret);
        let right = sign(&secret, &body);
        let secrets = WebhookSecrets::new(vec![Secret::new("an older one"), secret]);
        let verified = secrets.verify(Some(&header), &body);
        assert_eq!(verified == Ok(1), header == right, "{verified:?}");
        if header != right {
            assert!(matches!(
                verified,
                Err(SignatureError::Malformed | SignatureError::Mismatch)
            ));
            // What may have happened on the way is found for people; it opens nothing, and may not break.
            let _ = secrets.diagnose(&header, &body);
        }
    });
}

#[test]
fn no_other_body_has_the_same_signature() {
    let bodies = bytes().prop_flat_map(|body| {
        let other = damaged(proptest::strategy::Just(body.clone()));
        other.prop_map(move |other| (body.clone(), other))
    });
    always(bodies, |(body, other)| {
        let secrets = WebhookSecrets::new(vec![Secret::new("a secret")]);
        let header = sign(&Secret::new("a secret"), &body);
        assert_eq!(secrets.verify(Some(&header), &other).is_ok(), body == other);
    });
}
