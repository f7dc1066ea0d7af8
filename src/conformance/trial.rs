//! Commands for trials, and what they leave behind.

use super::{
    Complaint,
    observed::ACCIDENT,
    stand::{Stand, describe},
};
use crate::{
    config::{EnvValue, ModelEntry},
    job::{Cause, Job, JobId, JobState},
    job_dir::{AttemptDir, Event, files},
};

/// What the shell of each command knows: `note TEXT` tells us that it got somewhere.
const NOTE: &str = "note() { echo '{\"type\": \"note\", \"text\": \"'$1'\"}' >> \"$TRAINHOOK_EVENTS_FILE\"; }\nnote started\n";

/// Bytes read of what a command left.
const OUTPUT_LIMIT: u64 = 16 * 1024 * 1024;

/// A command of a few lines of `sh`.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) entry: ModelEntry,
}

impl Trial {
    /// Runs `script` after it has noted that it has started.
    pub(super) fn new(stand: &Stand, script: &str) -> Self {
        let mut entry = stand.template();
        entry.command = ["sh", "-c"].map(str::to_owned).to_vec();
        // Braces are placeholders in a command.
        let script = format!("{NOTE}{script}")
            .replace('{', "{{")
            .replace('}', "}}");
        entry.command.push(script);
        Self { entry }
    }

    /// Runs until it is asked to stop, and then ends in its own way.
    pub(super) fn until_stopped(stand: &Stand) -> Self {
        Self::until_stopped_after(stand, "")
    }

    /// Runs `script`, and then until it is asked to stop.
    pub(super) fn until_stopped_after(stand: &Stand, script: &str) -> Self {
        let waiting = "trap 'note stopped; exit 9' TERM\nsleep 600 & wait $!\n";
        Self::new(stand, &format!("{script}\n{waiting}"))
    }

    /// Runs on, whatever it is asked.
    pub(super) fn ignoring(stand: &Stand) -> Self {
        let mut trial = Self::new(
            stand,
            "trap '' TERM\nnote ready\nwhile :; do sleep 1; done\n",
        );
        trial.entry.cancel_grace_ms = 1000;
        trial
    }

    /// Something goes wrong when it is submitted.
    pub(super) fn with_accident(self, accident: &str) -> Self {
        self.with_env(ACCIDENT, EnvValue::Text(accident.to_owned()))
    }

    pub(super) fn with_env(mut self, name: &str, value: EnvValue) -> Self {
        self.entry.env.insert(name.to_owned(), value);
        self
    }

    pub(super) async fn start(self, stand: &Stand) -> Result<JobId, Complaint> {
        stand.accept(self.entry).await
    }

    /// Starts it, and waits until the command runs and has said so.
    pub(super) async fn run(self, stand: &Stand) -> Result<Job, Complaint> {
        let id = self.start(stand).await?;
        let job = stand.wait_for(id, "its start", |job| job.state == JobState::Running);
        let job = job.await?;
        noted(stand, &job, "started").await?;
        Ok(job)
    }

    /// Starts it, and waits for its end.
    pub(super) async fn finish(self, stand: &Stand) -> Result<Job, Complaint> {
        let id = self.start(stand).await?;
        ended(stand, id).await
    }

    /// The same; it must end well, and have run once.
    pub(super) async fn succeed(self, stand: &Stand) -> Result<Job, Complaint> {
        let job = self.finish(stand).await?;
        ended_well(stand, &job)?;
        Ok(job)
    }
}

/// The job, once it has ended.
pub(super) async fn ended(stand: &Stand, id: JobId) -> Result<Job, Complaint> {
    stand
        .wait_for(id, "its end", |job| job.state.is_terminal())
        .await
}

/// It must have ended well, and have run once.
pub(super) fn ended_well(stand: &Stand, job: &Job) -> Result<(), Complaint> {
    if job.state != JobState::Succeeded {
        return Err(format!("the job is {}", describe(job)).into());
    }
    ran_once(stand, job)
}

/// Its command must have been started once, however often it was submitted.
pub(super) fn ran_once(stand: &Stand, job: &Job) -> Result<(), Complaint> {
    match notes(&stand.attempt_dir(job), "started")? {
        1 => Ok(()),
        starts => Err(format!("its command was started {starts} times").into()),
    }
}

/// It must have failed so, and the message must hold these words.
pub(super) fn failed_with(job: &Job, causes: &[Cause], words: &str) -> Result<(), Complaint> {
    let cause_fits = job.cause.is_some_and(|cause| causes.contains(&cause));
    let message = job.message.as_deref().unwrap_or_default();
    if job.state == JobState::Failed && cause_fits && message.contains(words) {
        return Ok(());
    }
    let causes: Vec<&str> = causes.iter().map(|cause| cause.as_str()).collect();
    let wanted = causes.join(" or ");
    Err(format!(
        "expected failed, {wanted}, with {words:?}; the job is {}",
        describe(job)
    )
    .into())
}

/// Waits until the command has noted that.
pub(super) async fn noted(stand: &Stand, job: &Job, text: &str) -> Result<(), Complaint> {
    let (dir, what) = (stand.attempt_dir(job), format!("the note {text:?}"));
    let look = || async { Ok((notes(&dir, text)? > 0).then_some(())) };
    stand.until(&what, stand.patience(), look).await
}

/// How often the command has noted that.
pub(super) fn notes(dir: &AttemptDir, wanted: &str) -> Result<usize, Complaint> {
    let events = dir.read_events(0);
    let events = events.map_err(|error| format!("cannot read its events: {error}"))?;
    let is_it = |event: &&Event| matches!(event, Event::Note { text, .. } if text == wanted);
    Ok(events.events.iter().filter(is_it).count())
}

/// A file that the command left, as text.
pub(super) fn output(dir: &AttemptDir, name: &str) -> Result<String, Complaint> {
    let read = files::read_untrusted(dir.path(), name, OUTPUT_LIMIT);
    let read = read.map_err(|error| format!("cannot read {name}: {error}"))?;
    let bytes = read.ok_or_else(|| format!("its {name} did not arrive"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
