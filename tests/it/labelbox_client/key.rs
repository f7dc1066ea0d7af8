//! The API key: read anew for each call, and seen by nobody.

use std::time::Duration;

use serde_json::json;
use trainhook::{
    config::SecretRef,
    job::PipelineStatus,
    labelbox::{Class, Kind, Labelbox},
};

use super::{Fixture, KEY, model_run_id, report};
use crate::support::scripted::Reply;

fn no_run() -> Reply {
    Reply::new(200, json!({"data": {"modelRun": null}}))
}

#[tokio::test]
async fn a_rotated_key_is_used_for_the_next_call() {
    let fixture = Fixture::new([no_run(), no_run()]).await;
    let before = fixture.labelbox.key_fingerprint();
    assert_eq!(fixture.labelbox.model_run(&model_run_id()).await, Ok(None));
    fixture.write_key("another-key");
    assert_eq!(fixture.labelbox.model_run(&model_run_id()).await, Ok(None));
    assert!(before.is_some());
    assert_ne!(fixture.labelbox.key_fingerprint(), before);
    let keys: Vec<_> = fixture
        .server
        .finish()
        .iter()
        .map(|request| request.header("authorization").map(str::to_owned))
        .collect();
    assert_eq!(
        keys,
        [
            Some(format!("Bearer {KEY}")),
            Some("Bearer another-key".to_owned())
        ]
    );
}

#[tokio::test]
async fn the_fingerprint_stays_while_the_key_does() {
    let fixture = Fixture::new([]).await;
    let before = fixture.labelbox.key_fingerprint();
    fixture.write_key(&format!("{KEY}  \n\n"));
    assert_eq!(fixture.labelbox.key_fingerprint(), before);
}

#[tokio::test]
async fn a_key_that_cannot_be_used_parks_the_workspace_and_nothing_is_sent() {
    let fixture = Fixture::new([]).await;
    fixture.write_key("two\nlines");
    let error = fixture
        .labelbox
        .model_run(&model_run_id())
        .await
        .expect_err("no key");
    assert_eq!(
        (error.class(), error.kind),
        (Class::ParkWorkspace, Kind::KeyUnreadable)
    );
    assert!(!error.to_string().contains("two"), "{error}");

    let missing = SecretRef::File(fixture.folder.path().join("missing"));
    let labelbox = Labelbox::new(
        &fixture.server.url("/graphql"),
        missing,
        Duration::from_secs(30),
    );
    let error = labelbox
        .model_run(&model_run_id())
        .await
        .expect_err("no key");
    assert_eq!(
        (error.class(), error.kind),
        (Class::ParkWorkspace, Kind::KeyUnreadable)
    );
    assert_eq!(labelbox.key_fingerprint(), None);
    assert!(fixture.server.finish().is_empty());
}

#[tokio::test]
async fn the_key_is_never_shown_even_if_labelbox_repeats_it() {
    let repeated = format!("{}{KEY}", "no, not ".repeat(30));
    let refusal = json!({"errors": [{"message": repeated, "extensions": {"code": KEY}}]});
    let replies = [
        Reply::new(200, refusal),
        Reply::new(401, json!({"message": repeated})),
        Reply::new(404, &repeated),
        Reply::new(500, &repeated),
        Reply::new(429, json!({"message": format!("You have exceeded {KEY}")})),
        Reply::new(
            200,
            json!({"data": {"updateTrainingPipeline": {"status": KEY}}}),
        ),
        Reply::new(200, json!({"data": {"updateTrainingPipeline": KEY}})),
        Reply::Close,
    ];
    let count = replies.len();
    let fixture = Fixture::new(replies).await;
    for _ in 0..count {
        let told = fixture
            .labelbox
            .update_status(&model_run_id(), &report(PipelineStatus::Complete))
            .await;
        let error = told.expect_err("a refusal");
        let shown = format!("{error} {error:?} {:?}", fixture.labelbox);
        assert!(!shown.contains(KEY), "{shown}");
    }
    assert_eq!(fixture.server.finish().len(), count);
}
