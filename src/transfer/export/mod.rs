//! From a run in Labelbox to files in the job directory: the task, the splits, the rows, and whether they will do.
//!
//! All that was fetched is noted on disk again and again, so that a restart goes on with the same task where it was.

mod ahead;
mod ask;
mod classes;
mod failure;
mod files;
mod finish;
mod formats;
mod ontology;
mod output;
mod pieces;
mod preflight;
mod record;
mod rows;
mod sorter;
mod splits;
mod task;
mod writer;

use std::{
    io,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{Transfer, lock};
use crate::{
    config::format_duration,
    dataset::{Manifest, Ontology},
    job::{Change, Job, JobState},
    job_dir::JobDir,
    store::{Store, StoreError},
};
use failure::Failure;
use record::Record;
use splits::Splits;

/// Exports under way at once; Labelbox runs at most 20 of an organisation (docs: limits).
pub(super) const AT_ONCE: usize = 16;

/// Tasks that are begun before it is believed that Labelbox loses them all.
const TASKS_AT_MOST: u32 = 3;

/// After a commit, whoever waits for the end of a job looks no sooner than this for the next one.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// One of the tasks that an export may take.
#[derive(Debug, Clone, Copy)]
struct Turn {
    /// Whether Labelbox may work already on a task that nobody has noted.
    may_exist: bool,
    /// Whether no other task follows.
    is_last: bool,
}

/// A job's export.
struct Export<'a> {
    transfer: &'a Transfer,
    job: &'a Job,
    dir: JobDir,
    /// When the job began to export: what is found of an earlier time is too old.
    began_at: Timestamp,
    /// Tasks that were begun for it and are of no use any more.
    given_up: Vec<String>,
}

/// Takes a job from `exporting` to `queued` or to its end; hours may pass.
pub(super) async fn step(transfer: &Transfer, job: Job) -> Result<(), StoreError> {
    let store = &transfer.context.store;
    let job = match job.waiting {
        None => job,
        Some(_) => {
            let moves_again = vec![Change::Wait(None)];
            store.change(&job, moves_again, Timestamp::now()).await?
        }
    };
    let meters = &transfer.context.exports;
    let mut export = Export {
        transfer,
        job: &job,
        dir: JobDir::new(&transfer.context.jobs_dir, job.id),
        began_at: began_at(store, &job).await?,
        given_up: Vec::new(),
    };
    meters.begin(job.id);
    let outcome = tokio::select! {
        outcome = export.within_its_time() => Some(outcome),
        () = is_over(store, &job) => None,
    };
    meters.end(job.id);
    let changes = match outcome {
        // Somebody stopped it: what was under way is dropped, and the job has its end already.
        None => {
            lock(&transfer.exporting_since).remove(&job.id);
            return Ok(());
        }
        Some(Ok(manifest)) => vec![Change::Exported(manifest.describe()), Change::Queue],
        Some(Err(failure)) => match failure.into_change() {
            Ok(change) => vec![change],
            Err(Failure::Later(later)) => return transfer.try_again(job, later).await,
            Err(Failure::Store(error)) => return Err(error),
            Err(_) => return Ok(()),
        },
    };
    let job = transfer.conclude(&job, changes).await?;
    lock(&transfer.exporting_since).remove(&job.id);
    Ok(())
}

impl Export<'_> {
    async fn within_its_time(&mut self) -> Result<Manifest, Failure> {
        let wanted = self.job.entry.export.as_ref();
        let Some(timeout) = wanted.and_then(crate::config::Export::timeout) else {
            return self.run().await;
        };
        // Measured on our own clock: a restart of the server begins anew, and no clock that is set ends anything.
        let since = *lock(&self.transfer.exporting_since)
            .entry(self.job.id)
            .or_insert_with(Instant::now);
        let left = timeout.saturating_sub(since.elapsed());
        let run = tokio::time::timeout(left, self.run());
        run.await.unwrap_or_else(|_| {
            let noted = self.transfer.context.exports.noted(self.job.id);
            Err(Failure::export(format!(
                "the export took longer than its export_timeout of {}; at last: {}",
                format_duration(timeout),
                noted.unwrap_or_default()
            )))
        })
    }

    async fn run(&mut self) -> Result<Manifest, Failure> {
        let (dir, began_at) = (self.dir.clone(), self.began_at);
        let mut turn = Turn {
            may_exist: on_disk(move || record::prepare(&dir, began_at)).await?,
            is_last: false,
        };
        let ontology = self.ontology().await?;
        for left in (0..TASKS_AT_MOST).rev() {
            turn.is_last = left == 0;
            let why = match self.with_task(turn, &ontology).await {
                Err(Failure::TaskLost) if left > 0 => "Labelbox has lost the export task",
                Err(Failure::Expired) if left > 0 => "addresses of the data's files hold no longer",
                other => return other,
            };
            tracing::warn!(job_id = %self.job.id, "{why}: another export task is begun");
            let store = &self.transfer.context.store;
            let gone = store.export(self.job).await?;
            self.given_up.extend(gone.map(|row| row.task));
            // Rows may belong elsewhere by the time of the next task.
            let dir = self.dir.clone();
            on_disk(move || record::remove_splits(&dir)).await?;
            store.forget_export(self.job).await?;
            turn.may_exist = false;
        }
        Err(Failure::TaskLost)
    }

    async fn with_task(
        &self,
        turn: Turn,
        ontology: &Option<Ontology>,
    ) -> Result<Manifest, Failure> {
        let task = self.task(turn.may_exist).await?;
        let sorted = match self.sorted_before(&task).await? {
            Some(sorted) => sorted,
            None => self.fetch_and_sort(&task, ontology).await?,
        };
        preflight::check(&self.job.entry.preflight, &sorted, ontology.as_ref())
            .map_err(Failure::preflight)?;
        let files = self.files(&task, !turn.is_last).await?;
        let notes = self.formats(ontology.as_ref()).await?;
        self.finish(&task, sorted, (files, notes)).await
    }

    /// What a crash has left complete.
    async fn sorted_before(&self, task: &str) -> Result<Option<Record>, Failure> {
        let (dir, task) = (self.dir.clone(), task.to_owned());
        let complete = move |record: &Record| record.complete && record.task == task;
        on_disk(move || Ok(Some(Record::read_from(&dir)?).filter(complete))).await
    }

    async fn fetch_and_sort(
        &self,
        task: &str,
        ontology: &Option<Ontology>,
    ) -> Result<Record, Failure> {
        // Labelbox takes its time for the task; the splits are asked for meanwhile, and may end the waiting.
        let begun = Instant::now();
        let (splits, ()) = tokio::try_join!(self.enough_rows(), self.until_complete(task))?;
        let asked = Instant::now();
        let record = self.rows(task, splits, ontology).await?;
        tracing::info!(
            job_id = %self.job.id, task, rows = record.rows(), bytes = record.read,
            splits_ms = milliseconds(asked - begun), rows_ms = milliseconds(asked.elapsed()),
            "the rows are sorted",
        );
        Ok(record)
    }

    /// The splits, where they hold the rows that a training needs: nobody waits hours for an export to learn that they
    /// do not.
    async fn enough_rows(&self) -> Result<Splits, Failure> {
        let splits = self.splits().await?;
        preflight::check_counts(&self.job.entry.preflight, &splits.counts())
            .map_err(Failure::preflight)?;
        Ok(splits)
    }

    /// Tells people how far a part of the export is.
    fn note(&self, part: &'static str, text: impl Into<Option<String>>) {
        let meters = &self.transfer.context.exports;
        meters.note(self.job.id, part, text.into());
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// When the job began to export, this time.
async fn began_at(store: &Store, job: &Job) -> Result<Timestamp, StoreError> {
    let timeline = store.timeline(job).await?;
    let exporting = JobState::Exporting.as_str();
    let began = timeline.iter().rfind(|entry| entry.event == exporting);
    Ok(began.map_or(job.accepted_at, |entry| entry.at))
}

/// Returns when the job exports no longer, because somebody has stopped it.
async fn is_over(store: &Store, job: &Job) {
    let mut changes = store.changes();
    loop {
        changes.mark_unchanged();
        // What cannot be read now is read after the next commit.
        if let Ok(Some(now)) = store.job(job.id).await
            && now.state != JobState::Exporting
        {
            return;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
        if changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Does what may block.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.unwrap_or_else(|error| Err(io::Error::other(error)));
    done.map_err(|error| Failure::disk(&error))
}
