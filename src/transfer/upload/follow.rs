//! A chunk that Labelbox has, followed until its import has ended.

use std::time::Duration;

use jiff::Timestamp;

use super::{Next, Upload, failure::Failure, memory::Missing, on_disk, outcome::REASONS};
use crate::{
    job::ImportState,
    labelbox::{Import, ImportPhase},
    predictions::{Chunk, Problem},
    store::ImportRow,
};

/// An import is looked at this soon after it was sent; then ever more seldom.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// An import is looked at this often at least (labelbox 7.17.0 does so always).
const LAST_LOOK: Duration = Duration::from_secs(10);

/// An import that Labelbox has taken and does not know is asked for so often.
const FORGOTTEN: u32 = 9;

impl Upload<'_> {
    /// Looks how far an import is.
    pub(super) async fn follow(
        &self,
        part: (&Chunk, usize),
        row: &ImportRow,
    ) -> Result<Next, Failure> {
        let Some(import) = self.look_up(row).await? else {
            return Err(self.forgotten(row));
        };
        let memory = &self.transfer.uploads.memory;
        memory.find(self.job.id, row.chunk, Missing::Import);
        match import.state {
            ImportPhase::Running => Ok(Next::In(until_next_look(row))),
            ImportPhase::Failed if row.name != self.name(row.chunk) => {
                self.send_as_own(part, row).await
            }
            ImportPhase::Failed => self.note_failure(part, row, &import).await,
            ImportPhase::Finished => {
                let problems = self.results(part.0, &import).await?;
                self.finished(part, row, problems).await
            }
        }
    }

    /// An import that was there may be there again, for a while.
    fn forgotten(&self, row: &ImportRow) -> Failure {
        let what = format!("Labelbox does not know the import {} any longer", row.name);
        let memory = &self.transfer.uploads.memory;
        match memory.miss(self.job.id, row.chunk, Missing::Import) < FORGOTTEN {
            true => Failure::later(what),
            false => Failure::Final(format!("trained, but {what}")),
        }
    }

    /// What an earlier job has sent, and Labelbox could not import, is not this job's failure: it sends the same under a
    /// name of its own.
    async fn send_as_own(
        &self,
        (chunk, of): (&Chunk, usize),
        row: &ImportRow,
    ) -> Result<Next, Failure> {
        let own = ImportRow {
            name: self.name(row.chunk),
            state: ImportState::Frozen,
            posted_at: None,
            ..row.clone()
        };
        let told = format!(
            "chunk {} of {of} could not be imported as {}, and is sent once more",
            chunk.number, row.name
        );
        self.record(own, Some(told)).await?;
        Ok(Next::Now)
    }

    async fn note_failure(
        &self,
        (chunk, of): (&Chunk, usize),
        row: &ImportRow,
        import: &Import,
    ) -> Result<Next, Failure> {
        let reasons = self.reasons(chunk, import).await?;
        let reasons: Vec<String> = reasons.iter().map(Problem::describe).collect();
        let note = (!reasons.is_empty()).then(|| reasons[..reasons.len().min(REASONS)].join("; "));
        let told = format!("chunk {} of {of} could not be imported", chunk.number);
        tracing::warn!(job_id = %self.job.id, import = row.name, reasons = note, "{told}");
        let failed = ImportRow {
            state: ImportState::Failed,
            note,
            ..row.clone()
        };
        self.record(failed, Some(told)).await?;
        Ok(Next::Now)
    }

    async fn finished(
        &self,
        (chunk, of): (&Chunk, usize),
        row: &ImportRow,
        problems: Vec<Problem>,
    ) -> Result<Next, Failure> {
        let refused = problems.len() as u64;
        let first = problems.first().map(Problem::describe);
        let (noted, server) = (chunk.clone(), self.dir.server());
        on_disk(move || noted.note_refused(&server, &problems)).await?;
        let told = format!(
            "chunk {} of {of} imported: {} predictions{}",
            chunk.number,
            chunk.lines,
            match refused {
                0 => String::new(),
                _ => format!(", {refused} of them refused"),
            }
        );
        tracing::info!(job_id = %self.job.id, import = row.name, refused, "{told}");
        let finished = ImportRow {
            state: ImportState::Finished,
            refused: Some(refused),
            note: first,
            ..row.clone()
        };
        self.record(finished, Some(told)).await?;
        Ok(Next::Now)
    }
}

/// 1 s, growing with the time that the import has taken, up to 10 s.
fn until_next_look(row: &ImportRow) -> Duration {
    let passed = row.posted_at.map(|at| Timestamp::now().duration_since(at));
    let passed = passed.and_then(|passed| Duration::try_from(passed).ok());
    (passed.unwrap_or_default() / 4).clamp(FIRST_LOOK, LAST_LOOK)
}

/// The end of a job whose import failed, in words that begin with what Labelbox says.
pub(super) fn failed((chunk, of): (&Chunk, usize), row: &ImportRow) -> String {
    let what = format!(
        "trained, but Labelbox could not import chunk {} of {of} of its predictions",
        chunk.number
    );
    match &row.note {
        Some(reasons) => format!(
            "{what}: {reasons}; once that is mended, `trainhook jobs retry-upload` sends it again ({})",
            row.name
        ),
        None => format!(
            "{what}, and does not say why: try `trainhook jobs retry-upload` ({})",
            row.name
        ),
    }
}
