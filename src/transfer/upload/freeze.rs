//! What a command left in `out/` is checked and frozen: from here on nobody looks at the command's own file.

use std::{
    fs::File,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{Next, Upload, failure::Failure, outcome, stoppable::lines};
use crate::{
    config::{Format, Predictions},
    dataset::{Ontology, RowIndex},
    disk,
    formats::{self, FormatError},
    job::{Change, JobId},
    job_dir::{AttemptDir, JobDir, files},
    predictions::{Checker, Draft, FreezeError, Sources, freeze},
    transfer::steps::StopOnDrop,
};

/// Where a command leaves its predictions.
const PREDICTIONS: &str = "out/predictions.ndjson";

/// The longest ontology that is read, in bytes.
const ONTOLOGY_LIMIT: u64 = 256 << 20;

/// Lines that are made of results in another form take no more room than this, in bytes.
const READ_BACK_LIMIT: u64 = 8 << 30;

/// How often it is asked whether the checking is still wanted.
const LOOK: Duration = Duration::from_secs(1);

/// What became of a command's predictions.
pub(super) enum Found {
    /// They lie ready.
    Draft(Draft),
    /// There are none; what the command left instead, for people.
    Nothing(String),
    /// They cannot be used; why, for people.
    Useless(String),
    /// Nobody wants them any longer.
    Stopped,
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
    /// The forms in which the model may leave results, too.
    pub(super) formats: Vec<Format>,
}

impl Upload<'_> {
    /// Freezes what the job's own attempt has left.
    pub(super) async fn freeze(&self) -> Result<Next, Failure> {
        let Ok(_place) = self.transfer.uploads.freezes.try_acquire() else {
            return Ok(Next::Busy);
        };
        let order = Order {
            trained: self.dir.clone(),
            attempt: self.job.attempt,
            job: self.job.id,
            dir: self.dir.clone(),
            most_lines: self.job.entry.import_lines,
            formats: self.job.entry.formats.clone(),
        };
        match self.carry_out(order).await? {
            // The next look tells why.
            Found::Stopped => Ok(Next::Now),
            Found::Draft(draft) => self.keep(draft).await.map(|()| Next::Now),
            Found::Useless(why) => Err(Failure::Final(format!("trained, but {why}"))),
            Found::Nothing(left) if self.job.entry.predictions == Predictions::Optional => {
                tracing::info!(job_id = %self.job.id, "there are no predictions: the command {left}");
                Ok(Next::Over(vec![Change::Succeed]))
            }
            Found::Nothing(left) => Err(Failure::Final(format!("trained, but {left}"))),
        }
    }

    /// Reads, checks and freezes for as long as the job is not stopped and has time.
    pub(super) async fn carry_out(&self, order: Order) -> Result<Found, Failure> {
        let stop = StopOnDrop::default();
        let stopped = Arc::clone(&stop.0);
        let work = super::on_disk(move || order.carry_out(&stopped));
        tokio::pin!(work);
        loop {
            tokio::select! {
                found = &mut work => return found,
                () = tokio::time::sleep(LOOK) => {
                    if !self.is_wanted().await? {
                        stop.stop();
                    }
                }
            }
        }
    }

    async fn is_wanted(&self) -> Result<bool, Failure> {
        let job = self.transfer.context.store.job(self.job.id).await?;
        let goes_on = job.is_some_and(|job| job.stop.is_none() && job.state == self.job.state);
        Ok(goes_on && self.check_time(None, &[]).is_ok())
    }

    /// Puts frozen predictions in their place, unless more of them were rejected than may be.
    pub(super) async fn keep(&self, draft: Draft) -> Result<(), Failure> {
        let frozen = draft.frozen.clone();
        let (rejected, all) = (frozen.rejected, frozen.lines);
        let meters = self.transfer.context.store.meters();
        meters.count_predictions("rejected", rejected);
        if !outcome::is_enough(self.job, rejected, all) {
            super::on_disk(move || draft.discard()).await?;
            let problems = frozen.first.iter().map(|problem| problem.describe());
            return Err(Failure::Final(outcome::refused(rejected, all, problems)));
        }
        super::on_disk(move || draft.keep()).await?;
        tracing::info!(
            job_id = %self.job.id, predictions = all, rejected, imports = frozen.chunks.len(),
            "predictions are frozen",
        );
        Ok(())
    }
}

/// What cannot be read will not be readable later either, unless it is the machine that is not well.
fn useless(what: &str, error: io::Error) -> io::Result<Found> {
    match disk::may_pass(&error) {
        true => Err(error),
        false => Ok(Found::Useless(format!("{what}: {error}"))),
    }
}

impl Order {
    /// Reads, checks and freezes. It may take minutes and blocks.
    fn carry_out(&self, stopped: &Arc<AtomicBool>) -> io::Result<Found> {
        let attempt = self.trained.attempt(self.attempt);
        let written = match files::open_untrusted(attempt.path(), PREDICTIONS) {
            Ok(written) => written,
            Err(error) => {
                return useless(&format!("{PREDICTIONS} cannot be read"), error);
            }
        };
        let (rows, ontology) = match self.exported() {
            Ok(Some(exported)) => exported,
            Ok(None) => {
                let why = "its predictions cannot be held against the exported rows, which are no longer in the job's \
                           folder: train again with `trainhook jobs retry`";
                return Ok(Found::Useless(why.to_owned()));
            }
            Err(error) => {
                let why = "its predictions cannot be held against the exported rows";
                return useless(why, error);
            }
        };
        let read_back = match self.read_back(&attempt, &ontology, stopped) {
            Ok(read_back) => read_back,
            Err(FormatError::Io { source, .. }) => return Err(source),
            Err(FormatError::Stopped) => return Ok(Found::Stopped),
            Err(error) => return Ok(Found::Useless(error.to_string())),
        };
        let left = self.left_instead(&attempt, written.is_some());
        if written.is_none() && read_back.is_none() {
            return Ok(Found::Nothing(left));
        }
        let sources = Sources {
            written: lines(written, stopped),
            read_back: lines(read_back, stopped),
        };
        let mut checker = Checker::new(&ontology, &rows);
        let place = (&*self.dir.server(), self.most_lines);
        let draft = match freeze(sources, &mut checker, self.job, place) {
            Ok(draft) => draft,
            Err(FreezeError::Io(_)) if stopped.load(Ordering::Relaxed) => {
                return Ok(Found::Stopped);
            }
            Err(FreezeError::Io(error)) => return Err(error),
            Err(error @ FreezeError::TooMany) => return Ok(Found::Useless(error.to_string())),
        };
        if draft.frozen.lines == 0 {
            draft.discard()?;
            return Ok(Found::Nothing(left));
        }
        Ok(Found::Draft(draft))
    }

    /// What was exported, as the server has kept it for itself; none if that is gone.
    fn exported(&self) -> io::Result<Option<(RowIndex, Ontology)>> {
        let server = self.trained.server();
        let rows = match RowIndex::open(&server.join("rows.index")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let ontology = files::read_json(&server, "ontology.json", ONTOLOGY_LIMIT)?;
        Ok(ontology.map(|ontology| (rows, ontology)))
    }

    /// Whether results in another form are looked for.
    fn reads_results(&self) -> bool {
        self.formats.iter().any(|format| format.needs_files())
    }

    /// What there is where no prediction is.
    fn left_instead(&self, attempt: &AttemptDir, written: bool) -> String {
        let [coco, yolo] = formats::RESULTS.map(|name| attempt.out().join(name).exists());
        let unread = match (coco, yolo) {
            (true, _) => Some((formats::RESULTS[0], Format::Coco)),
            (_, true) => Some((formats::RESULTS[1], Format::Yolo)),
            _ => None,
        };
        match (unread, written) {
            (Some((name, _)), _) if self.reads_results() => {
                format!("left out/{name} without a prediction in it")
            }
            (Some((name, format)), _) => format!(
                "left out/{name}, which is read only if the model's formats name {:?}: name it there and train again, or \
                 have the command write {PREDICTIONS}",
                format.as_str()
            ),
            (None, true) => format!(
                "left {PREDICTIONS} empty: the command must write a line for each prediction, or the model have \
                 predictions = \"optional\""
            ),
            (None, false) => format!("left no predictions in {PREDICTIONS}"),
        }
    }

    /// Lines made of results in another form; none if there are no such results.
    fn read_back(
        &self,
        attempt: &AttemptDir,
        ontology: &Ontology,
        stopped: &AtomicBool,
    ) -> Result<Option<File>, FormatError> {
        if !self.reads_results() {
            return Ok(None);
        }
        let sink = self.dir.server().join("predictions.read_back.ndjson");
        let summary = formats::read_back(&formats::ReadBack {
            out: &attempt.out(),
            data: &self.trained.data(),
            index: &self.trained.formats_index(),
            ontology,
            sink: &sink,
            most_bytes: READ_BACK_LIMIT,
            stopped,
        })?;
        if summary.files == 0 {
            return Ok(None);
        }
        tracing::info!(
            job_id = %self.job, predictions = summary.predictions, refused = summary.refused,
            "results in another form were read back: {}", summary.notes,
        );
        let opened = File::open(&sink);
        opened
            .map(Some)
            .map_err(|source| FormatError::Io { path: sink, source })
    }
}
