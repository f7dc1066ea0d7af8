//! The queue that the rows are, and the changes of a row.

use trainhook::{
    config::{ModelEntry, Resources},
    job::{Cause, Change, Job, JobState, Stop},
    store::{Acceptance, Slots, StoreError},
};

use super::{SECOND, Shelf, entry, noon};
use crate::support::labelbox_door::model;

fn slots(max_running: u32, devices: &[u32]) -> Slots {
    Slots {
        executor: "local".to_owned(),
        max_running,
        devices: Some(devices.to_vec()),
        boot_id: "this boot".to_owned(),
    }
}

async fn pull(shelf: &Shelf, slots: Slots) -> Vec<Job> {
    shelf
        .store
        .pull(slots, 99, noon())
        .await
        .expect("it commits")
}

fn runs(jobs: &[Job]) -> Vec<&str> {
    jobs.iter().map(|job| job.model_run_id.as_str()).collect()
}

fn with_gpus(gpus: u32) -> ModelEntry {
    ModelEntry {
        resources: Resources {
            gpus,
            ..Resources::default()
        },
        ..entry()
    }
}

#[tokio::test]
async fn a_change_brings_its_timeline_and_its_report_or_nothing() {
    let shelf = Shelf::new();
    let Acceptance::New(job) = shelf.accept("r1", entry()).await else {
        panic!("no new job");
    };
    let refused = shelf
        .store
        .change(&job, vec![Change::Queue, Change::Queue], noon())
        .await;
    assert!(
        matches!(refused, Err(StoreError::Illegal(_))),
        "{refused:?}"
    );
    let told = || async {
        let timeline = shelf.store.timeline(&job).await.expect("readable");
        let reports = shelf.store.reports_of(job.id).await.expect("readable");
        (timeline.len(), reports.len())
    };
    assert_eq!(told().await, (1, 1), "nothing of a change that was refused");
    shelf.change(&job, Change::Cancel).await;
    assert_eq!(told().await, (2, 2));
    let stale = shelf.store.change(&job, vec![Change::Queue], noon()).await;
    assert_eq!(
        stale,
        Err(StoreError::Stale),
        "the caller had read another row"
    );
}

#[tokio::test]
async fn a_new_attempt_waits_no_longer_for_its_slot_than_the_first() {
    let shelf = Shelf::new();
    let patient = ModelEntry {
        queue_timeout_ms: Some(5000),
        ..entry()
    };
    let job = shelf.queued("r1", patient).await;
    assert_eq!(job.queue_deadline, Some(noon() + 5 * SECOND));
    let job = pull(&shelf, slots(1, &[])).await.remove(0);
    let job = shelf.change(&job, Change::Run { stage: None }).await;
    assert_eq!(job.queue_deadline, None, "it waits no longer");
    let again = Change::Retry {
        cause: Cause::Infra,
        message: "the disk is gone".to_owned(),
        not_before: noon() + 60 * SECOND,
    };
    let job = shelf.change(&job, again).await;
    assert_eq!(job.queue_deadline, Some(noon() + 65 * SECOND));
}

#[tokio::test]
async fn free_slots_are_filled_in_the_order_of_acceptance() {
    let shelf = Shelf::new();
    for run in ["a", "b", "c", "d"] {
        shelf.queued(run, entry()).await;
    }
    let first = pull(&shelf, slots(3, &[])).await;
    assert_eq!(runs(&first), ["a", "b", "c"]);
    assert!(first.iter().all(|job| job.state == JobState::Submitting));
    assert!(
        pull(&shelf, slots(3, &[])).await.is_empty(),
        "all slots are taken"
    );
    shelf.change(&first[1], Change::Succeed).await;
    assert_eq!(runs(&pull(&shelf, slots(3, &[])).await), ["d"]);
}

#[tokio::test]
async fn a_full_model_is_passed_over() {
    let shelf = Shelf::new();
    let narrow = ModelEntry {
        max_running: Some(1),
        ..model(2, "narrow")
    };
    for (run, entry) in [("a", narrow.clone()), ("b", narrow), ("c", entry())] {
        shelf.queued(run, entry).await;
    }
    assert_eq!(runs(&pull(&shelf, slots(9, &[])).await), ["a", "c"]);
}

#[tokio::test]
async fn no_device_is_given_to_two_jobs() {
    let shelf = Shelf::new();
    for (run, gpus) in [("two", 2), ("three", 3), ("one", 1), ("another", 1)] {
        shelf.queued(run, with_gpus(gpus)).await;
    }
    let pulled = pull(&shelf, slots(9, &[4, 5, 6])).await;
    assert_eq!(runs(&pulled), ["two", "one"]);
    assert_eq!(
        (pulled[0].devices.as_slice(), pulled[1].devices.as_slice()),
        (&[4, 5][..], &[6][..])
    );
    shelf.change(&pulled[1], Change::Succeed).await;
    let next = pull(&shelf, slots(9, &[4, 5, 6])).await;
    assert_eq!(
        (runs(&next), next[0].devices.as_slice()),
        (vec!["another"], &[6][..])
    );
}

#[tokio::test]
async fn a_new_attempt_waits_for_its_time_and_no_clock_makes_it_wait_for_ever() {
    let shelf = Shelf::new();
    shelf.queued("a", entry()).await;
    let job = pull(&shelf, slots(1, &[])).await.remove(0);
    let retry = |not_before| Change::Retry {
        cause: Cause::Infra,
        message: "again".to_owned(),
        not_before,
    };
    let job = shelf.change(&job, retry(noon() + 60 * SECOND)).await;
    assert!(pull(&shelf, slots(1, &[])).await.is_empty());
    let after = noon() + 61 * SECOND;
    let pulled = shelf
        .store
        .pull(slots(1, &[]), 9, after)
        .await
        .expect("it commits");
    assert_eq!((pulled.len(), pulled[0].attempt), (1, job.attempt));
    // A time so far off was written by a clock that has been set back since.
    shelf
        .change(&pulled[0], retry(noon() + 90_000 * SECOND))
        .await;
    assert_eq!(pull(&shelf, slots(1, &[])).await.len(), 1);
}

#[tokio::test]
async fn who_waits_longer_than_the_queue_timeout_fails() {
    let shelf = Shelf::new();
    let hasty = ModelEntry {
        queue_timeout_ms: Some(5_000),
        ..entry()
    };
    let waiting = shelf.queued("a", hasty.clone()).await;
    shelf
        .queued(
            "b",
            ModelEntry {
                executor: "gone".to_owned(),
                ..hasty
            },
        )
        .await;
    let expire = |now| shelf.store.expire_waiting(&["local"], now);
    expire(noon() + 4 * SECOND).await.expect("it commits");
    let state = || async {
        shelf
            .store
            .job(waiting.id)
            .await
            .expect("readable")
            .expect("it is there")
    };
    assert_eq!(state().await.state, JobState::Queued);
    expire(noon() + 6 * SECOND).await.expect("it commits");
    let failed = state().await;
    assert_eq!(
        (failed.state, failed.cause),
        (JobState::Failed, Some(Cause::QueueTimeout))
    );
    let counts = shelf
        .store
        .counts("gone".to_owned())
        .await
        .expect("readable");
    assert_eq!(
        counts.queued, 1,
        "an executor that is not configured fails none of its jobs"
    );
}

#[tokio::test]
async fn the_first_wish_to_stop_is_the_one_that_counts() {
    let shelf = Shelf::new();
    let job = shelf.queued("r1", entry()).await;
    let submitting = pull(&shelf, slots(1, &[])).await;
    assert_eq!(submitting.len(), 1);
    let wish = |cause, actor: &str| Stop {
        cause,
        actor: actor.to_owned(),
        at: noon(),
    };
    let timeout = wish(Some(Cause::RunTimeout), "trainhook");
    for stop in [timeout.clone(), wish(None, "a person")] {
        let wished = shelf.store.wish_stop(job.id, stop, noon()).await;
        assert_eq!(wished.expect("it commits").stop.as_ref(), Some(&timeout));
    }
}
