//! One chunk, one step: looked up, sent.

use std::time::Duration;

use jiff::Timestamp;

use super::{BUSY_WAIT, Next, Upload, failure::Failure, follow::failed, memory::Missing, on_disk};
use crate::{
    job::ImportState,
    labelbox::{Import, ImportLines, Labelbox, LabelboxError},
    predictions::{Chunk, Frozen},
    store::ImportRow,
};

/// A look that Labelbox refuses this often in a row ends the upload; so does a chunk that it refuses so often.
const REFUSALS: u32 = 3;

impl Upload<'_> {
    /// Takes a chunk one step further.
    pub(super) async fn advance(&self, frozen: &Frozen, row: &ImportRow) -> Result<Next, Failure> {
        let chunk = frozen.chunks.iter().find(|chunk| chunk.number == row.chunk);
        let Some(chunk) = chunk else {
            return Err(Failure::Final(format!(
                "trained, but chunk {} of its predictions is gone",
                row.chunk
            )));
        };
        let part = (chunk, frozen.chunks.len());
        match row.state {
            ImportState::Frozen => self.send(part, row).await,
            ImportState::Posting => self.look_for(part, row).await,
            ImportState::Posted => self.follow(part, row).await,
            ImportState::Finished => Ok(Next::Now),
            ImportState::Failed => Err(Failure::Final(failed(part, row))),
        }
    }

    fn labelbox(&self) -> Result<Labelbox, Failure> {
        let labelboxes = self.transfer.context.labelboxes.get();
        let workspace = &self.job.workspace;
        let labelbox = labelboxes.get(workspace).map(Labelbox::in_bulk);
        labelbox.ok_or_else(|| Failure::later(format!("workspace {workspace} is not configured")))
    }

    /// An import, as Labelbox knows it. One odd refusal of a look is no reason to give up what Labelbox may have.
    pub(super) async fn look_up(&self, row: &ImportRow) -> Result<Option<Import>, Failure> {
        let labelbox = self.labelbox()?;
        let memory = &self.transfer.uploads.memory;
        match labelbox.import(&self.job.model_run_id, &row.name).await {
            Ok(found) => {
                memory.find(self.job.id, row.chunk, Missing::Answer);
                Ok(found)
            }
            Err(error) => Err(match Failure::of_labelbox(&error) {
                Failure::Final(reason)
                    if memory.miss(self.job.id, row.chunk, Missing::Answer) < REFUSALS =>
                {
                    Failure::later(reason)
                }
                failure => failure,
            }),
        }
    }

    pub(super) async fn record(&self, row: ImportRow, told: Option<String>) -> Result<(), Failure> {
        let store = &self.transfer.context.store;
        store
            .record_import(self.job, row, told, Timestamp::now())
            .await?;
        Ok(())
    }

    /// Sends a chunk that was never sent. It is looked for all the same: a store that was put back from a backup may
    /// have forgotten.
    async fn send(&self, (chunk, of): (&Chunk, usize), row: &ImportRow) -> Result<Next, Failure> {
        if self.look_up(row).await?.is_some() {
            return self.posted(row).await;
        }
        self.post((chunk, of), row).await
    }

    async fn post(&self, (chunk, of): (&Chunk, usize), row: &ImportRow) -> Result<Next, Failure> {
        let labelbox = self.labelbox()?;
        let Ok(_place) = self.transfer.uploads.posts.try_acquire() else {
            return Ok(Next::In(BUSY_WAIT));
        };
        let lines = self.open(chunk).await?;
        let posting = ImportRow {
            state: ImportState::Posting,
            posted_at: Some(Timestamp::now()),
            ..row.clone()
        };
        self.record(posting.clone(), None).await?;
        tracing::debug!(job_id = %self.job.id, import = row.name, bytes = chunk.bytes, "chunk {} of {of} goes out", chunk.number);
        let run = &self.job.model_run_id;
        match labelbox.create_import(run, &row.name, lines).await {
            Ok(_) => self.posted(&posting).await,
            Err(error) if error.ambiguous => self.doubtful(posting, &error).await,
            Err(error) => self.refused(row, posting, &error).await,
        }
    }

    /// It was under way until now, and is looked for from now on.
    async fn doubtful(&self, posting: ImportRow, error: &LabelboxError) -> Result<Next, Failure> {
        let chunk = posting.chunk;
        self.transfer.uploads.memory.seek(self.job.id, chunk);
        let posting = ImportRow {
            posted_at: Some(Timestamp::now()),
            ..posting
        };
        self.record(posting, None).await?;
        Err(self.without_consent(chunk, error))
    }

    async fn refused(
        &self,
        row: &ImportRow,
        posting: ImportRow,
        error: &LabelboxError,
    ) -> Result<Next, Failure> {
        // A name is taken once: whatever the refusal says, the import may be there.
        let found = self.labelbox()?;
        let found = found.import(&self.job.model_run_id, &row.name).await;
        if matches!(found, Ok(Some(_))) {
            return self.posted(&posting).await;
        }
        let never_sent = found.is_ok() && row.state == ImportState::Frozen;
        if never_sent {
            let frozen = ImportRow {
                state: ImportState::Frozen,
                posted_at: None,
                ..posting
            };
            self.record(frozen, None).await?;
        }
        Err(self.without_consent(row.chunk, error))
    }

    /// One odd refusal, as of a proxy on the way, ends no training of hours.
    fn without_consent(&self, chunk: u32, error: &LabelboxError) -> Failure {
        let memory = &self.transfer.uploads.memory;
        match Failure::of_labelbox(error) {
            Failure::Final(reason)
                if memory.miss(self.job.id, chunk, Missing::Consent) < REFUSALS =>
            {
                Failure::later(reason)
            }
            failure => failure,
        }
    }

    async fn open(&self, chunk: &Chunk) -> Result<ImportLines, Failure> {
        let (frozen, server) = (chunk.clone(), self.dir.server());
        let file = on_disk(move || frozen.open(&server)).await?;
        Ok(ImportLines::of_file(file, chunk.bytes))
    }

    async fn posted(&self, row: &ImportRow) -> Result<Next, Failure> {
        let posted = ImportRow {
            state: ImportState::Posted,
            posted_at: row.posted_at.or_else(|| Some(Timestamp::now())),
            ..row.clone()
        };
        self.record(posted, None).await?;
        Ok(Next::Now)
    }

    /// A chunk that may have been sent: only when Labelbox has not known it for long enough, it is sent again.
    async fn look_for(&self, part: (&Chunk, usize), row: &ImportRow) -> Result<Next, Failure> {
        if self.look_up(row).await?.is_some() {
            return self.posted(row).await;
        }
        let patience = self.transfer.context.config.get().reporting.read_back_after;
        let now = Timestamp::now();
        // Noted before the sending began, which may have gone on until another process ended.
        let is_news = self.transfer.uploads.memory.seek(self.job.id, row.chunk);
        let posted_at = row.posted_at.filter(|_| !is_news);
        let waited = posted_at.map(|at| now.duration_since(at));
        let waited = match waited.map(Duration::try_from) {
            Some(Ok(waited)) => waited,
            // The wait begins anew; so it does when a clock was set back since.
            Some(Err(_)) | None => {
                let again = ImportRow {
                    posted_at: Some(now),
                    ..row.clone()
                };
                self.record(again, None).await?;
                Duration::ZERO
            }
        };
        if waited >= patience {
            return self.post(part, row).await;
        }
        Ok(Next::In((patience - waited).min(patience / 10)))
    }
}
