//! What a command left in `out/` is checked and frozen: from here on nobody looks at the command's own file.

use std::io::{self, BufRead, BufReader};

use super::{Next, Upload, failure::Failure};
use crate::{
    config::Predictions,
    dataset::{Ontology, RowIndex},
    job::{Change, JobId},
    job_dir::{AttemptDir, JobDir, files},
    predictions::{Checker, Draft, FreezeError, freeze},
};

/// Where a command leaves its predictions.
pub(super) const PREDICTIONS: &str = "out/predictions.ndjson";

/// The longest ontology that is read, in bytes.
const ONTOLOGY_LIMIT: u64 = 256 << 20;

/// What became of a command's predictions.
pub(super) enum Found {
    /// They lie ready.
    Draft(Draft),
    /// There are none.
    Nothing,
    /// They cannot be used; why, for people.
    Useless(String),
}

/// Whose predictions are frozen, and for whom.
pub(super) struct Order {
    /// The job that has trained.
    pub(super) trained: JobDir,
    /// Its attempt that counts.
    pub(super) attempt: u32,
    /// The job that sends them.
    pub(super) job: JobId,
    /// Its folder.
    pub(super) dir: JobDir,
    /// Lines of a chunk at most.
    pub(super) most_lines: u32,
}

impl Upload<'_> {
    /// Freezes what the job's own attempt has left.
    pub(super) async fn freeze(&self) -> Result<Next, Failure> {
        let Ok(_place) = self.transfer.uploads.freezes.try_acquire() else {
            return Ok(Next::In(super::BUSY_WAIT));
        };
        let order = Order {
            trained: self.dir.clone(),
            attempt: self.job.attempt,
            job: self.job.id,
            dir: self.dir.clone(),
            most_lines: self.job.entry.import_lines,
        };
        match super::on_disk(move || order.carry_out()).await? {
            Found::Draft(draft) => self.keep(draft).await.map(|()| Next::Now),
            Found::Useless(why) => Err(Failure::Final(format!("trained, but {why}"))),
            Found::Nothing if self.job.entry.predictions == Predictions::Optional => {
                Ok(Next::Over(vec![Change::Succeed]))
            }
            Found::Nothing => Err(Failure::Final(format!(
                "trained, but left no predictions in {PREDICTIONS}"
            ))),
        }
    }

    /// Puts frozen predictions in their place, unless more of them were rejected than may be.
    pub(super) async fn keep(&self, draft: Draft) -> Result<(), Failure> {
        let frozen = draft.frozen.clone();
        let (rejected, all) = (frozen.rejected, frozen.lines);
        let meters = self.transfer.context.store.meters();
        meters.count_predictions("rejected", rejected);
        if !self.job.entry.max_row_errors.allows(rejected, all) {
            super::on_disk(move || draft.discard()).await?;
            let problems = frozen.first.iter().map(|problem| problem.describe());
            return Err(Failure::Final(super::outcome::refused(
                rejected, all, problems,
            )));
        }
        super::on_disk(move || draft.keep()).await?;
        tracing::info!(
            job_id = %self.job.id, predictions = all, rejected, imports = frozen.chunks.len(),
            "predictions are frozen",
        );
        Ok(())
    }
}

impl Order {
    /// Reads, checks and freezes. It may take minutes and blocks.
    pub(super) fn carry_out(&self) -> io::Result<Found> {
        let attempt = self.trained.attempt(self.attempt);
        let source = match open(&attempt) {
            Ok(Some(source)) => source,
            Ok(None) => return Ok(Found::Nothing),
            Err(error) => {
                return Ok(Found::Useless(format!(
                    "{PREDICTIONS} cannot be read: {error}"
                )));
            }
        };
        let index = self.trained.server().join("rows.index");
        let rows = match RowIndex::open(&index) {
            Ok(rows) => rows,
            Err(error) => {
                let why = "its predictions cannot be held against the exported rows";
                return Ok(Found::Useless(format!("{why}: {error}")));
            }
        };
        // A model without an ontology has no file of it.
        let ontology = files::read_json(&self.trained.data(), "ontology.json", ONTOLOGY_LIMIT);
        let ontology: Ontology = match ontology {
            Ok(ontology) => ontology.unwrap_or_default(),
            Err(error) => {
                let why = "its predictions cannot be held against the ontology";
                return Ok(Found::Useless(format!("{why}: {error}")));
            }
        };
        let mut checker = Checker::new(&ontology, &rows);
        let place = (&*self.dir.server(), self.most_lines);
        let draft = match freeze(source, &mut checker, self.job, place) {
            Ok(draft) => draft,
            Err(FreezeError::Io(error)) => return Err(error),
            Err(error @ FreezeError::TooMany) => return Ok(Found::Useless(error.to_string())),
        };
        if draft.frozen.lines == 0 {
            draft.discard()?;
            return Ok(Found::Nothing);
        }
        Ok(Found::Draft(draft))
    }
}

/// The lines that a command has left; none if it left nothing.
fn open(attempt: &AttemptDir) -> io::Result<Option<Box<dyn BufRead>>> {
    let file = files::open_untrusted(attempt.path(), PREDICTIONS)?;
    // Results in another form (COCO, YOLO) become lines here, where there is no such file.
    Ok(file.map(|file| Box::new(BufReader::with_capacity(64 * 1024, file)) as Box<dyn BufRead>))
}
