//! Acceptance: one live job a run, whatever is asked for at once or again.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use trainhook::{
    job::{Cause, Change, JobKind},
    store::{Acceptance, NewJob},
};

use super::{SECOND, Shelf, entry, noon, request};
use crate::support::labelbox_door::model;

#[tokio::test]
async fn of_ten_requests_at_once_for_one_run_one_begins_a_job() {
    let shelf = Shelf::new();
    let accepted = join_all((0..10).map(|_| shelf.accept("r1", entry()))).await;
    let new = accepted
        .iter()
        .filter(|one| matches!(one, Acceptance::New(_)));
    assert_eq!(new.count(), 1);
    let ids = accepted.iter().map(|one| match one {
        Acceptance::New(job) | Acceptance::Duplicate(job) | Acceptance::OtherModel(job) => job.id,
        Acceptance::OverLimit(limit) => panic!("{limit}"),
    });
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), 1);
}

#[tokio::test]
async fn another_model_on_a_live_run_is_told_apart() {
    let shelf = Shelf::new();
    shelf.accept("r1", entry()).await;
    let other = shelf.accept("r1", model(2, "two")).await;
    assert!(matches!(other, Acceptance::OtherModel(_)), "{other:?}");
}

#[tokio::test]
async fn of_two_uploads_of_the_same_training_the_later_is_the_first_one_again() {
    let shelf = Shelf::new();
    let Acceptance::New(trained) = shelf.accept("r1", entry()).await else {
        panic!("a fresh run");
    };
    let fails = || Change::Fail {
        cause: Cause::UploadFailed,
        message: "not taken".to_owned(),
    };
    shelf.change(&trained, fails()).await;
    // Both were asked for when the training was the last that had failed.
    let upload = || NewJob {
        kind: JobKind::Upload,
        parent: Some(trained.id),
        redelivery_window: std::time::Duration::ZERO,
        limited: false,
        ..request("r1", entry())
    };
    let Acceptance::New(first) = shelf
        .store
        .accept(upload(), noon())
        .await
        .expect("it commits")
    else {
        panic!("the first upload");
    };
    shelf.change(&first, fails()).await;
    let second = shelf.store.accept(upload(), noon()).await;
    let second = second.expect("it commits");
    assert!(
        matches!(&second, Acceptance::Duplicate(job) if job.id == first.id),
        "{second:?}"
    );
    // What the first one left is asked for by its name.
    let next = NewJob {
        parent: Some(first.id),
        ..upload()
    };
    let next = shelf.store.accept(next, noon()).await.expect("it commits");
    assert!(matches!(next, Acceptance::New(_)), "{next:?}");
}

#[tokio::test]
async fn a_body_seen_a_moment_ago_begins_nothing_unless_its_job_failed() {
    let shelf = Shelf::new();
    let ended = |change| async {
        let Acceptance::New(job) = shelf.accept("r1", entry()).await else {
            panic!("no new job");
        };
        shelf.change(&job, change).await
    };
    let failure = Change::Fail {
        cause: Cause::Preflight,
        message: "no labels".to_owned(),
    };
    ended(failure).await;
    let cancelled = ended(Change::Cancel).await;
    let again = shelf.accept("r1", entry()).await;
    assert!(
        matches!(&again, Acceptance::Duplicate(job) if job.id == cancelled.id),
        "{again:?}"
    );
    let later = shelf
        .store
        .accept(request("r1", entry()), noon() + 11 * SECOND)
        .await;
    assert!(matches!(later, Ok(Acceptance::New(_))), "{later:?}");
}
