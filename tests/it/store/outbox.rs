//! The outbox: which report is next, and what becomes of it.

use jiff::Timestamp;
use trainhook::{
    job::{Change, Job, PipelineStatus, Progress},
    store::{Delivery, OwedRun, Park, Postponed, Settlement},
};

use super::{SECOND, Shelf, entry, noon};

async fn owed(shelf: &Shelf, now: Timestamp) -> Vec<OwedRun> {
    shelf.store.owed_runs(now, 9).await.expect("readable")
}

async fn next(shelf: &Shelf, now: Timestamp) -> Option<Delivery> {
    let run = owed(shelf, now).await.into_iter().next()?;
    shelf
        .store
        .next_delivery(&run, now)
        .await
        .expect("readable")
}

async fn deliver(shelf: &Shelf, delivery: &Delivery) {
    let delivered = Settlement::Delivered {
        note: None,
        read_back_at: None,
    };
    shelf
        .store
        .settle(delivery, delivered, noon())
        .await
        .expect("it commits");
}

fn metric(offset: u64, loss: f64) -> Change {
    let mut progress = Progress::default();
    progress.metrics.insert("loss".to_owned(), loss);
    Change::Progress {
        stage: None,
        progress,
        events_offset: offset,
        report: true,
    }
}

async fn running(shelf: &Shelf, run: &str) -> Job {
    let job = shelf.queued(run, entry()).await;
    submit_and_run(shelf, job).await
}

async fn submit_and_run(shelf: &Shelf, queued: Job) -> Job {
    let submit = Change::Submit {
        devices: Vec::new(),
        boot_id: "this boot".to_owned(),
    };
    let job = shelf.change(&queued, submit).await;
    shelf.change(&job, Change::Run { stage: None }).await
}

#[tokio::test]
async fn waiting_progress_goes_out_as_one_and_the_final_by_itself() {
    let shelf = Shelf::new();
    let mut job = running(&shelf, "r1").await;
    for (offset, loss) in [(1, 0.9), (2, 0.5)] {
        job = shelf.change(&job, metric(offset, loss)).await;
    }
    shelf.change(&job, Change::Succeed).await;
    let progress = next(&shelf, noon()).await.expect("progress is owed");
    assert_eq!(progress.report.status, PipelineStatus::TrainingModel);
    assert_eq!(progress.report.metadata["loss"], "0.5");
    assert!(progress.rows.len() > 3, "{progress:?}");
    deliver(&shelf, &progress).await;
    let last = next(&shelf, noon()).await.expect("the final is owed");
    assert_eq!(
        (last.report.status, last.rows.len()),
        (PipelineStatus::Complete, 1)
    );
    deliver(&shelf, &last).await;
    assert_eq!(next(&shelf, noon()).await, None);
}

#[tokio::test]
async fn reports_of_two_jobs_of_a_run_are_never_mixed() {
    let shelf = Shelf::new();
    let job = running(&shelf, "r1").await;
    shelf.change(&job, Change::Succeed).await;
    let second = running_again(&shelf).await;
    let mut told = Vec::new();
    while let Some(delivery) = next(&shelf, noon()).await {
        deliver(&shelf, &delivery).await;
        told.push((delivery.job, delivery.report.status));
    }
    let (training, complete) = (PipelineStatus::TrainingModel, PipelineStatus::Complete);
    assert_eq!(
        told,
        [
            (job.id, training),
            (job.id, complete),
            (second.id, training)
        ]
    );
}

/// A person's retry, which is no redelivery.
async fn running_again(shelf: &Shelf) -> Job {
    let request = trainhook::store::NewJob {
        redelivery_window: std::time::Duration::ZERO,
        limited: false,
        ..super::request("r1", entry())
    };
    let accepted = shelf
        .store
        .accept(request, noon())
        .await
        .expect("it is accepted");
    let trainhook::store::Acceptance::New(job) = accepted else {
        panic!("{accepted:?}");
    };
    let queued = shelf.change(&job, Change::Queue).await;
    submit_and_run(shelf, queued).await
}

#[tokio::test]
async fn a_final_that_is_being_read_back_is_not_told_again_behind_a_new_job() {
    let shelf = Shelf::new();
    let job = running(&shelf, "r1").await;
    shelf.change(&job, Change::Succeed).await;
    deliver(&shelf, &next(&shelf, noon()).await.expect("progress")).await;
    let last = next(&shelf, noon()).await.expect("the final");
    let doubtful = Settlement::Delivered {
        note: None,
        read_back_at: Some(noon()),
    };
    let settled = shelf.store.settle(&last, doubtful, noon()).await;
    settled.expect("it commits");
    let reading = shelf.store.read_backs(noon()).await.expect("readable");
    assert_eq!(reading.len(), 1);
    // While Labelbox is asked, the run is trained again, and what it answers is of the new job.
    let second = running_again(&shelf).await;
    let finished = shelf.store.finish_read_back(&reading[0], true, noon());
    finished.await.expect("it commits");
    let mut told = Vec::new();
    while let Some(delivery) = next(&shelf, noon()).await {
        deliver(&shelf, &delivery).await;
        told.push((delivery.job, delivery.report.status));
    }
    assert_eq!(told, [(second.id, PipelineStatus::TrainingModel)]);
}

#[tokio::test]
async fn who_is_postponed_waits_and_who_is_parked_is_shown() {
    let shelf = Shelf::new();
    shelf.accept("r1", entry()).await;
    shelf.accept("r2", entry()).await;
    let delivery = next(&shelf, noon()).await.expect("a report is owed");
    let postponed = |park| {
        Settlement::Postponed(Postponed {
            error: "refused".to_owned(),
            next_try_at: noon() + 60 * SECOND,
            park,
            whole_workspace: false,
            ambiguous: false,
        })
    };
    shelf
        .store
        .settle(&delivery, postponed(Park::Run), noon())
        .await
        .expect("it commits");
    let left = owed(&shelf, noon()).await;
    assert_eq!((left.len(), left[0].model_run_id.as_str()), (1, "r2"));
    assert_eq!(shelf.store.parked().await.expect("readable").runs, 1);
    assert_eq!(owed(&shelf, noon() + 61 * SECOND).await.len(), 2);

    let other = next(&shelf, noon()).await.expect("the other run's report");
    shelf
        .store
        .settle(&other, postponed(Park::Workspace), noon())
        .await
        .expect("it commits");
    assert!(owed(&shelf, noon()).await.is_empty());
    assert_eq!(
        shelf.store.parked().await.expect("readable").workspaces,
        ["main"]
    );
    shelf
        .store
        .unpark_workspace("main".to_owned())
        .await
        .expect("it commits");
    assert_eq!(
        owed(&shelf, noon()).await.len(),
        2,
        "a new key makes everything due"
    );
}

#[tokio::test]
async fn a_run_that_does_not_exist_is_owed_nothing_more() {
    let shelf = Shelf::new();
    let job = running(&shelf, "r1").await;
    let delivery = next(&shelf, noon()).await.expect("a report is owed");
    let ended = Settlement::Ended {
        note: "there is no such run".to_owned(),
    };
    shelf
        .store
        .settle(&delivery, ended, noon())
        .await
        .expect("it commits");
    assert!(owed(&shelf, noon()).await.is_empty());
    let reports = shelf.store.reports_of(job.id).await.expect("readable");
    assert!(
        reports
            .iter()
            .all(|report| report.state == trainhook::store::ReportState::Dropped),
        "{reports:?}"
    );
}

#[tokio::test]
async fn a_second_job_blanks_what_the_first_one_told() {
    let shelf = Shelf::new();
    let job = running(&shelf, "r1").await;
    let job = shelf.change(&job, metric(1, 0.9)).await;
    shelf.change(&job, Change::Succeed).await;
    let second = running_again(&shelf).await;
    let reports = shelf.store.reports_of(second.id).await.expect("readable");
    let first = reports
        .iter()
        .min_by_key(|report| report.id)
        .expect("a report");
    assert_eq!(
        first.report.metadata.get("loss").map(String::as_str),
        Some("")
    );
}
