//! What a command tells of itself: its events, folded into the job's row.

use super::engine_loop::EngineLoop;
use crate::{
    job::{Change, Job, Progress, Stage},
    job_dir::{AttemptDir, Event, EventBatch, files},
};

/// Bytes of events read once the command has ended; whoever told more is not listened to any longer.
const LAST_WORDS_LIMIT: u64 = 64 << 20;

/// Metrics kept for one job; a command that invents names without end fills nothing.
const METRICS_LIMIT: usize = 100;

/// The longest file of metrics or artifacts that is read, in bytes.
const RESULT_LIMIT: u64 = 1 << 20;

/// Artifacts kept for one job.
const ARTIFACTS_LIMIT: usize = 50;

/// Characters of an artifact's place that are kept.
const PLACE_LIMIT: usize = 1000;

/// Characters of a note that are kept.
const NOTE_LIMIT: usize = 500;

/// Where a command tells what it does.
const EVENTS: &str = "events.ndjson";

/// Where a command leaves numbers.
const METRICS: &str = "out/metrics.json";

/// Where a command leaves the places of what it made.
const ARTIFACTS: &str = "out/artifacts.json";

/// What may stand in such a file.
type Table = serde_json::Map<String, serde_json::Value>;

/// Everything told so far.
struct Told {
    stage: Option<Stage>,
    progress: Progress,
    offset: u64,
}

impl EngineLoop {
    /// The job after these events; none if they hold nothing new and nothing is to be told.
    pub(super) async fn progress_after(
        &self,
        job: &Job,
        batch: EventBatch,
        report: bool,
    ) -> Option<Change> {
        let mut told = Told::before(job);
        told.take_in(batch);
        if told.offset == job.events_offset && !report {
            return None;
        }
        Some(self.change_to(job, told, report).await)
    }

    /// The job after everything that its command told up to its end.
    pub(super) async fn last_words(&self, job: &Job, first: EventBatch) -> Option<Change> {
        let mut told = Told::before(job);
        let end = job.events_offset.saturating_add(LAST_WORDS_LIMIT);
        let mut batch = first;
        loop {
            let (dir, before) = (self.attempt_dir(job), batch.offset);
            told.take_in(batch);
            let more = tokio::task::spawn_blocking(move || dir.read_events(before)).await;
            match more {
                Ok(Ok(more)) if more.offset > before && before < end => batch = more,
                _ => break,
            }
        }
        self.read_results(job, &mut told).await;
        if told.offset == job.events_offset && told.progress == job.progress {
            return None;
        }
        Some(self.change_to(job, told, false).await)
    }

    /// Numbers and places that the command has left in files, as far as they are any.
    async fn read_results(&self, job: &Job, told: &mut Told) {
        let dir = self.attempt_dir(job);
        let read = tokio::task::spawn_blocking(move || {
            [METRICS, ARTIFACTS].map(|name| read_table(&dir, name))
        });
        let [metrics, artifacts] = read.await.unwrap_or([None, None]);
        for (file, table) in [(METRICS, &metrics), (ARTIFACTS, &artifacts)] {
            told.skip(file, u64::from(table.is_none()));
        }
        for (name, value) in metrics.unwrap_or_default() {
            let kept = value
                .as_f64()
                .is_some_and(|value| told.remember(name, value));
            told.skip(METRICS, u64::from(!kept));
        }
        for (name, place) in artifacts.unwrap_or_default() {
            let known = told.progress.artifacts.contains_key(&name);
            let fits = told.progress.artifacts.len() < ARTIFACTS_LIMIT;
            if let Some(place) = place.as_str().filter(|_| is_name(&name) && (known || fits)) {
                let place = place.chars().filter(|c| !c.is_control()).take(PLACE_LIMIT);
                let place = self.redact(job, place.collect()).await;
                told.progress.artifacts.insert(name, place);
            } else {
                told.skip(ARTIFACTS, 1);
            }
        }
    }

    async fn change_to(&self, job: &Job, told: Told, report: bool) -> Change {
        let Told {
            stage,
            mut progress,
            offset,
        } = told;
        // Notes are shown to people, and a command may put anything into one.
        if let Some(note) = progress
            .note
            .take_if(|note| job.progress.note.as_ref() != Some(note))
        {
            progress.note = Some(self.redact(job, note).await);
        }
        Change::Progress {
            stage,
            progress,
            events_offset: offset,
            // A new stage may mean another status, which is told at once.
            report: report || stage != job.stage,
        }
    }
}

/// An object that a command may have left; an empty one if it has not, and none if it is something else.
fn read_table(dir: &AttemptDir, name: &str) -> Option<Table> {
    let read = files::read_json(dir.path(), name, RESULT_LIMIT);
    let read = read.inspect_err(|error| tracing::warn!("{}: {error}", dir.path().display()));
    read.ok().map(Option::unwrap_or_default)
}

/// Whether something may be called so in Labelbox's metadata.
fn is_name(name: &str) -> bool {
    (1..=100).contains(&name.len())
}

impl Told {
    fn before(job: &Job) -> Self {
        Self {
            stage: job.stage,
            progress: job.progress.clone(),
            offset: job.events_offset,
        }
    }

    fn take_in(&mut self, batch: EventBatch) {
        self.offset = batch.offset;
        self.skip(EVENTS, batch.skipped);
        for event in batch.events {
            match event {
                Event::Stage { stage } => self.stage = Some(stage),
                Event::Progress { percent } => {
                    self.progress.percent = Some(percent.clamp(0.0, 100.0));
                }
                Event::Metric { name, value, .. } => {
                    let kept = self.remember(name, value);
                    self.skip(EVENTS, u64::from(!kept));
                }
                Event::Note { text, .. } => {
                    self.progress.note = Some(text.chars().take(NOTE_LIMIT).collect());
                }
            }
        }
    }

    /// Counts what could not be used of a file, so that whoever misses it sees why.
    fn skip(&mut self, file: &str, count: u64) {
        if count > 0 {
            let skipped = self.progress.skipped.entry(file.to_owned()).or_default();
            *skipped = skipped.saturating_add(count);
        }
    }

    /// Whether it is kept.
    fn remember(&mut self, name: String, value: f64) -> bool {
        let metrics = &mut self.progress.metrics;
        let known = metrics.contains_key(&name);
        let fits = metrics.len() < METRICS_LIMIT && is_name(&name);
        let kept = value.is_finite() && (known || fits);
        if kept {
            metrics.insert(name, value);
        }
        kept
    }
}
