//! The state machine: one pure function decides every change of a job.

use jiff::Timestamp;

use super::{Cause, Handle, Job, JobKind, JobState, Progress, Report, Stage, Stop};
use crate::config::Settled;
use JobState::{
    Accepted, Cancelled, Exporting, Failed, Pending, Queued, Running, Submitting, Succeeded,
    Uploading,
};

/// Something that happens to a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The hyper-parameters of its run are known.
    Settle(Settled),
    /// Its data begins to be fetched, or again, if it is too old.
    Export,
    /// Its data lies ready: how much of it, for people.
    Exported(String),
    /// Everything it needs lies ready; it waits for a slot.
    Queue,
    /// It got a slot, and these devices. Committed before the executor is called.
    Submit {
        /// Devices that are its own until the slot is freed.
        devices: Vec<u32>,
        /// The boot during which it is submitted.
        boot_id: String,
    },
    /// The executor took it.
    Submitted(Handle),
    /// Its supervisor has begun.
    Run {
        /// What it does first, if that is not training.
        stage: Option<Stage>,
    },
    /// Its command ended well and its predictions go out.
    Upload,
    /// It is done.
    Succeed,
    /// It failed.
    Fail {
        /// Why.
        cause: Cause,
        /// Why, for people.
        message: String,
    },
    /// It ended as somebody wished.
    Cancel,
    /// It ended as somebody wished, with a part of its predictions imported.
    CutShort {
        /// How far it had come, for people.
        after: String,
    },
    /// This attempt failed for an infrastructure cause; a new one may begin.
    Retry {
        /// Why.
        cause: Cause,
        /// Why, for people.
        message: String,
        /// The new attempt waits until then.
        not_before: Timestamp,
    },
    /// Somebody wishes it to stop. At once where nothing runs yet, else kept until confirmed.
    WishStop(Stop),
    /// The command told how far it is.
    Progress {
        /// The stage, if one was told so far.
        stage: Option<Stage>,
        /// All that was told so far.
        progress: Progress,
        /// The events are read up to here.
        events_offset: u64,
        /// Whether Labelbox is told now; the interval between reports is the caller's to keep.
        report: bool,
    },
    /// Why nothing moves, for people; none when it moves again.
    Wait(Option<String>),
}

/// What a change means for the world outside the job's row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effects {
    /// For the job's timeline; none for changes that are not worth a line.
    pub timeline: Option<TimelineEntry>,
    /// Owed to Labelbox.
    pub report: Option<Report>,
}

/// One line of a job's timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineEntry {
    /// One word: the new state, or what happened.
    pub event: String,
    /// For people.
    pub detail: Option<String>,
}

/// A change that the job's state does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {state} cannot {change}")]
pub struct IllegalChange {
    /// Where the job stands.
    pub state: JobState,
    /// What was tried.
    pub change: &'static str,
}

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

impl Change {
    /// A verb for messages.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Settle(_) => "settle",
            Self::Export => "export",
            Self::Exported(_) => "exported",
            Self::Queue => "queue",
            Self::Submit { .. } => "submit",
            Self::Submitted(_) => "be taken",
            Self::Run { .. } => "run",
            Self::Upload => "upload",
            Self::Succeed => "succeed",
            Self::Fail { .. } => "fail",
            Self::Cancel | Self::CutShort { .. } => "cancel",
            Self::Retry { .. } => "retry",
            Self::WishStop(_) => "stop",
            Self::Progress { .. } => "progress",
            Self::Wait(_) => "wait",
        }
    }

    fn is_notable(&self, entered: bool) -> bool {
        match self {
            Self::WishStop(_) | Self::Wait(Some(_)) | Self::Exported(_) => true,
            Self::Settle(settled) => entered || settled.near_misses().is_some(),
            _ => entered,
        }
    }
}

impl Stop {
    /// The wish in words, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        match self.cause {
            None => format!("cancelled by {}", self.actor),
            Some(Cause::QueueTimeout) => "waited longer than its queue_timeout".to_owned(),
            Some(Cause::RunTimeout) => "ran longer than its run_timeout".to_owned(),
            Some(cause) => format!("stopped: {cause}"),
        }
    }
}
