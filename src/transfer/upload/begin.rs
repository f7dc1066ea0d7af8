//! The beginning of a job that only uploads: what an earlier job owes Labelbox becomes its own.

use super::{
    ASKING_WAIT, Transfer, Upload,
    failure::{self, Failure},
    freeze::{Found, Order},
    on_disk, wait_for_place,
};
use crate::{
    job::{Cause, Change, ImportState, Job, JobKind},
    job_dir::JobDir,
    predictions::{Chunk, Draft, Fate, Frozen, resend},
    store::{ImportRow, StoreError},
};

/// No chain of retries is longer.
const ANCESTORS: usize = 1000;

/// Takes a job that uploads from `accepted` to `uploading`, or to its end.
pub(in crate::transfer) async fn begin(transfer: &Transfer, job: Job) -> Result<(), StoreError> {
    let upload = Upload {
        transfer,
        job: &job,
        dir: JobDir::new(&transfer.context.jobs_dir, job.id),
    };
    let changes = match upload.take_over().await {
        Ok(Some(changes)) => changes,
        Ok(None) => {
            return wait_for_place(transfer, job, ASKING_WAIT).await;
        }
        Err(Failure::Store(error)) => {
            transfer.uploads.memory.forget(job.id);
            return Err(error);
        }
        Err(Failure::Later(later)) => return transfer.try_again(job, later).await,
        Err(Failure::Final(message)) => {
            let mut changes = upload.inherited().await?;
            changes.push(failure::change(message));
            changes
        }
    };
    let job = transfer.conclude(&job, changes).await?;
    if job.state.is_terminal() {
        transfer.uploads.memory.forget(job.id);
    }
    Ok(())
}

/// Where predictions come from.
enum Source {
    /// An earlier job has frozen them.
    Frozen(Job, Frozen),
    /// They lie where the command has left them.
    Written(Job),
}

impl Upload<'_> {
    /// None while others are checked.
    async fn take_over(&self) -> Result<Option<Vec<Change>>, Failure> {
        let source = self.find_source().await?;
        let server = self.dir.server();
        // A crash may have come between the freezing and the note of it.
        if on_disk(move || Frozen::open(&server)).await?.is_none() {
            let Ok(_place) = self.transfer.uploads.freezes.try_acquire() else {
                return Ok(None);
            };
            let draft = match &source {
                Source::Frozen(earlier, frozen) => self.resend(earlier, frozen).await?,
                Source::Written(trained) => self.freeze_again(trained).await?,
            };
            self.keep(draft).await?;
        }
        let (Source::Frozen(earlier, _) | Source::Written(earlier)) = source;
        let mut changes = inherit(&earlier);
        changes.push(Change::Upload);
        Ok(Some(changes))
    }

    /// What is known of the training, also where nothing can be uploaded.
    async fn inherited(&self) -> Result<Vec<Change>, StoreError> {
        let earlier = match self.job.parent {
            Some(id) => self.transfer.context.store.job(id).await?,
            None => None,
        };
        Ok(earlier.as_ref().map(inherit).unwrap_or_default())
    }

    /// The job that has trained, or one on the way to it that has frozen what was predicted.
    async fn find_source(&self) -> Result<Source, Failure> {
        let store = &self.transfer.context.store;
        let mut next = self.job.parent;
        for _ in 0..ANCESTORS {
            let earlier = match next {
                Some(id) => store.job(id).await?,
                None => None,
            };
            let Some(earlier) = earlier else { break };
            let server = JobDir::new(&self.transfer.context.jobs_dir, earlier.id).server();
            if let Some(frozen) = on_disk(move || Frozen::open(&server)).await? {
                return Ok(Source::Frozen(earlier, frozen));
            }
            self.check_nothing_sent(&earlier).await?;
            if earlier.kind == JobKind::Train {
                return Ok(Source::Written(earlier));
            }
            next = earlier.parent;
        }
        Err(Failure::Final(
            "there is no job any longer whose predictions could be uploaded".to_owned(),
        ))
    }

    /// What was frozen anew would have other uuids, and what an earlier one still has would be sent once more.
    async fn check_nothing_sent(&self, earlier: &Job) -> Result<(), Failure> {
        let rows = self.transfer.context.store.imports(earlier).await?;
        let may_be_there = |row: &ImportRow| match row.state {
            ImportState::Frozen | ImportState::Failed => false,
            ImportState::Posting | ImportState::Posted | ImportState::Finished => true,
        };
        match rows.iter().any(may_be_there) {
            false => Ok(()),
            true => Err(Failure::Final(format!(
                "what job {} had frozen of its predictions is gone, and some of it was sent: train again with \
                 `trainhook jobs retry`",
                earlier.id
            ))),
        }
    }

    async fn resend(&self, earlier: &Job, frozen: &Frozen) -> Result<Draft, Failure> {
        let rows = self.transfer.context.store.imports(earlier).await?;
        let fates: Vec<Fate> = frozen
            .chunks
            .iter()
            .map(|chunk| fate(chunk, &rows))
            .collect();
        let from = JobDir::new(&self.transfer.context.jobs_dir, earlier.id).server();
        let (server, most_lines) = (self.dir.server(), self.job.entry.import_lines);
        let frozen = frozen.clone();
        on_disk(move || resend((&from, &frozen), &fates, (&server, most_lines))).await
    }

    /// What a training left that broke off, or says itself that it failed, is no result of it.
    async fn check_ended_well(&self, trained: &Job) -> Result<(), Failure> {
        let dir = JobDir::new(&self.transfer.context.jobs_dir, trained.id);
        let attempt = dir.attempt(trained.attempt);
        let record = on_disk(move || attempt.read_claimants_exit()).await?;
        let ended_well = record.is_some_and(|record| record.cause().is_none());
        if ended_well || trained.cause == Some(Cause::UploadFailed) {
            return Ok(());
        }
        let how = trained.cause.map_or("cancelled", Cause::as_str);
        Err(Failure::Final(format!(
            "the training of job {} did not end well ({how}), so its predictions are not uploaded: train again with \
             `trainhook jobs retry`",
            trained.id
        )))
    }

    async fn freeze_again(&self, trained: &Job) -> Result<Draft, Failure> {
        self.check_ended_well(trained).await?;
        let order = Order {
            trained: JobDir::new(&self.transfer.context.jobs_dir, trained.id),
            attempt: trained.attempt,
            job: self.job.id,
            dir: self.dir.clone(),
            most_lines: self.job.entry.import_lines,
            formats: trained.entry.formats.clone(),
        };
        match self.carry_out(order).await? {
            Found::Stopped => {
                self.check_time(None, &[])?;
                Err(Failure::Store(StoreError::Stale))
            }
            Found::Draft(draft) => Ok(draft),
            Found::Useless(why) => Err(Failure::Final(why)),
            Found::Nothing(left) => Err(Failure::Final(format!("job {} {left}", trained.id))),
        }
    }
}

/// Labelbox is told of the training as if it had been this job's.
fn inherit(earlier: &Job) -> Vec<Change> {
    let settled = earlier.settled.clone().map(Change::Settle);
    let progress = Change::Progress {
        stage: None,
        progress: earlier.progress.clone(),
        events_offset: 0,
        report: false,
    };
    settled.into_iter().chain([progress]).collect()
}

fn fate(chunk: &Chunk, rows: &[ImportRow]) -> Fate {
    let row = rows.iter().find(|row| row.chunk == chunk.number);
    match row.map(|row| (row.state, &row.name)) {
        Some((ImportState::Finished, _)) => Fate::Finished,
        Some((ImportState::Posting | ImportState::Posted, name)) => Fate::Sent(name.clone()),
        Some((ImportState::Frozen | ImportState::Failed, _)) => Fate::NotTaken,
        // The job ended before it noted what it took over.
        None => chunk.name.clone().map_or(Fate::NotTaken, Fate::Sent),
    }
}
