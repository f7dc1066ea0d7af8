//! The state machine: one pure function decides every change of a job.

use jiff::Timestamp;

use super::{Change, Effects, IllegalChange, Job, JobKind, JobState, Stop, TimelineEntry};
use JobState::{
    Accepted, Cancelled, Exporting, Failed, Pending, Queued, Running, Submitting, Succeeded,
    Uploading,
};

impl Job {
    /// Applies `change` at `now`, or refuses it and leaves the job as it is.
    ///
    /// # Errors
    /// [`IllegalChange`] when the state does not allow it; a terminal state allows nothing.
    pub fn apply(&mut self, change: Change, now: Timestamp) -> Result<Effects, IllegalChange> {
        let Some(next) = self.next_state(&change) else {
            return Err(IllegalChange {
                state: self.state,
                change: change.name(),
            });
        };
        let told_before = self.pipeline_status();
        let entered = next != self.state;
        self.state = next;
        let detail = self.take_in(change.clone(), now);
        if entered {
            self.enter(now);
        }
        let tell = entered && (self.pipeline_status() != told_before || next.is_terminal());
        let tell = tell || matches!(change, Change::Progress { report: true, .. });
        Ok(Effects {
            timeline: change.is_notable(entered).then(|| TimelineEntry {
                event: if entered {
                    next.to_string()
                } else {
                    change.name().to_owned()
                },
                detail,
            }),
            report: tell.then(|| self.report()),
        })
    }

    /// The state after `change`, or none where it is not allowed.
    fn next_state(&self, change: &Change) -> Option<JobState> {
        let from = self.state;
        match (change, from) {
            (Change::Settle(_), Accepted | Exporting) => Some(from),
            (Change::Export, Accepted | Queued) => Some(Exporting),
            (Change::Exported(_), Exporting) => Some(from),
            (Change::Queue, Accepted | Exporting) => Some(Queued),
            (Change::Submit { .. }, Queued) => Some(Submitting),
            (Change::Submitted(_), Submitting) => Some(Pending),
            // Its supervisor was heard of before its engine's answer was.
            (Change::Submitted(_), Running) if self.handle.is_none() => Some(Running),
            (Change::Run { .. }, Submitting | Pending) => Some(Running),
            // A short command may be over before anybody saw it run.
            (Change::Upload, Submitting | Pending | Running) => Some(Uploading),
            (Change::Upload, Accepted) if self.kind == JobKind::Upload => Some(Uploading),
            (Change::Succeed, Submitting | Pending | Running | Uploading) => Some(Succeeded),
            (Change::Retry { .. }, Submitting | Pending | Running) if self.stop.is_none() => {
                Some(Queued)
            }
            (Change::Fail { .. }, _) if !from.is_terminal() => Some(Failed),
            (Change::Cancel, _) if !from.is_terminal() => Some(Cancelled),
            (Change::CutShort { .. }, Uploading) => Some(match &self.stop {
                Some(Stop { cause: Some(_), .. }) => Failed,
                _ => Cancelled,
            }),
            (Change::WishStop(stop), Accepted | Exporting | Queued) => {
                Some(if stop.cause.is_some() {
                    Failed
                } else {
                    Cancelled
                })
            }
            (Change::WishStop(_) | Change::Wait(_) | Change::Progress { .. }, _)
                if !from.is_terminal() =>
            {
                Some(from)
            }
            _ => None,
        }
    }

    /// Takes the change's contents into the row; returns what the timeline says of it.
    fn take_in(&mut self, change: Change, now: Timestamp) -> Option<String> {
        match change {
            Change::Submit { devices, boot_id } => {
                let detail = (!devices.is_empty())
                    .then(|| format!("attempt {}, devices {devices:?}", self.attempt));
                (self.devices, self.boot_id) = (devices, Some(boot_id));
                detail.or_else(|| Some(format!("attempt {}", self.attempt)))
            }
            Change::Submitted(handle) => {
                self.handle = Some(handle);
                None
            }
            Change::Fail { cause, message } => {
                self.cause = Some(cause);
                self.message = Some(message.clone());
                Some(format!("{cause}: {message}"))
            }
            Change::Retry {
                cause,
                message,
                not_before,
            } => {
                let detail = format!("attempt {} ended: {cause}: {message}", self.attempt);
                self.attempt += 1;
                self.begin_attempt(not_before);
                Some(detail)
            }
            Change::Cancel => self.ends_by_wish(),
            Change::CutShort { after } => {
                let wish = self.ends_by_wish();
                self.message = wish.map(|wish| format!("{wish} after {after}"));
                self.message.clone()
            }
            Change::WishStop(stop) => {
                let stop = self.stop.get_or_insert(stop);
                let detail = stop.describe();
                if self.state.is_terminal() {
                    self.ends_by_wish()
                } else {
                    self.next_check_at = Some(now);
                    Some(detail)
                }
            }
            Change::Progress {
                stage,
                progress,
                events_offset,
                ..
            } => {
                (self.stage, self.progress, self.events_offset) = (stage, progress, events_offset);
                self.stage.map(|stage| stage.to_string())
            }
            Change::Wait(reason) => {
                self.waiting.clone_from(&reason);
                reason
            }
            Change::Settle(settled) => {
                let doubts = settled.near_misses();
                self.settled = Some(settled);
                if self.state == Accepted {
                    // What is left to do before its data is fetched is to wait for a place.
                    self.next_check_at = None;
                }
                doubts
            }
            Change::Exported(what) => Some(what),
            Change::Export => {
                self.exported_at = None;
                None
            }
            Change::Queue => {
                let exported = self.entry.export.is_some();
                self.exported_at = exported.then_some(now);
                None
            }
            Change::Run { stage } => {
                self.stage = stage;
                stage.map(|stage| stage.to_string())
            }
            Change::Upload | Change::Succeed => None,
        }
    }

    /// A wish that came true: a time-out is a failure with its own cause, a person's cancel is not.
    fn ends_by_wish(&mut self) -> Option<String> {
        let stop = self.stop.as_ref()?;
        self.cause = stop.cause;
        if self.message.is_none() {
            self.message = Some(stop.describe());
        }
        self.message.clone()
    }

    fn begin_attempt(&mut self, not_before: Timestamp) {
        self.not_before = Some(not_before);
        (self.handle, self.boot_id, self.stage, self.devices) = (None, None, None, Vec::new());
        self.events_offset = 0;
        // It waits for a slot again, and no longer than the first time.
        let timeout = self.entry.queue_timeout();
        self.queue_deadline = timeout.and_then(|timeout| not_before.checked_add(timeout).ok());
    }

    /// What holds of every job that has just entered its state.
    fn enter(&mut self, now: Timestamp) {
        self.waiting = None;
        self.next_check_at = match self.state {
            // Queued jobs are pulled by a free slot; terminal ones by nobody.
            Queued | Succeeded | Failed | Cancelled => None,
            _ => Some(now),
        };
        if self.state == Running {
            self.started_at.get_or_insert(now);
            self.queue_deadline = None;
        }
        if self.state.is_terminal() {
            self.ended_at = Some(now);
            self.queue_deadline = None;
            self.devices.clear();
        }
    }
}
