//! What a button may spend.

use std::time::Duration;

use jiff::Timestamp;
use trainhook::{
    config::ModelEntry,
    job::{Change, Job},
    store::{Acceptance, NewJob, SpendingLimit},
};

use super::{Shelf, entry, noon, request};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn limited(max_queued: Option<u32>, max_starts_per_day: Option<u32>) -> ModelEntry {
    ModelEntry {
        max_queued,
        max_starts_per_day,
        ..entry()
    }
}

async fn accept(shelf: &Shelf, new: NewJob, now: Timestamp) -> Acceptance {
    let accepted = shelf.store.accept(new, now).await;
    accepted.expect("the store works")
}

fn new_job(acceptance: Acceptance) -> Job {
    match acceptance {
        Acceptance::New(job) => job,
        other => panic!("no new job: {other:?}"),
    }
}

#[tokio::test]
async fn a_click_too_many_waits_until_a_job_of_the_model_has_begun() {
    let shelf = Shelf::new();
    let click = |run: &str| request(run, limited(Some(2), None));
    let first = new_job(accept(&shelf, click("r1"), noon()).await);
    accept(&shelf, click("r2"), noon()).await;
    let refused = accept(&shelf, click("r3"), noon()).await;
    assert_eq!(refused, Acceptance::OverLimit(SpendingLimit::Queued(2)));
    // Another model is not concerned, a repeat is no new start, and people know what they do.
    let mut other = click("r4");
    other.entry = std::sync::Arc::new(ModelEntry {
        slug: "other".to_owned(),
        ..limited(Some(2), None)
    });
    new_job(accept(&shelf, other, noon()).await);
    let repeat = accept(&shelf, click("r1"), noon()).await;
    assert!(matches!(repeat, Acceptance::Duplicate(_)), "{repeat:?}");
    let by_hand = NewJob {
        limited: false,
        ..click("r5")
    };
    new_job(accept(&shelf, by_hand, noon()).await);
    let first = shelf.change(&first, Change::Queue).await;
    let submit = Change::Submit {
        devices: Vec::new(),
        boot_id: "boot".to_owned(),
    };
    shelf.change(&first, submit).await;
    let still = accept(&shelf, click("r3"), noon()).await;
    assert!(matches!(still, Acceptance::OverLimit(_)), "two wait still");
}

#[tokio::test]
async fn a_start_too_many_in_a_day_is_told_when_the_next_is_possible() {
    let shelf = Shelf::new();
    let click = |run: &str| request(run, limited(None, Some(2)));
    let later = noon() + Duration::from_secs(3600);
    new_job(accept(&shelf, click("r1"), noon()).await);
    new_job(accept(&shelf, click("r2"), later).await);
    let refused = accept(&shelf, click("r3"), later).await;
    let Acceptance::OverLimit(SpendingLimit::StartsPerDay(2, next)) = refused else {
        panic!("{refused:?}");
    };
    assert!(next > noon() + DAY, "{next}");
    let too_early = accept(&shelf, click("r3"), noon() + DAY).await;
    assert!(matches!(too_early, Acceptance::OverLimit(_)));
    new_job(accept(&shelf, click("r3"), next).await);
}

#[tokio::test]
async fn starts_from_a_clock_that_was_wrong_do_not_count_for_ever() {
    let shelf = Shelf::new();
    let click = |run: &str| request(run, limited(None, Some(1)));
    new_job(accept(&shelf, click("r1"), noon() + 30 * DAY).await);
    new_job(accept(&shelf, click("r2"), noon()).await);
}
