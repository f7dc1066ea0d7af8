//! What may happen to a job, and what that means for the world outside its row.

use jiff::Timestamp;

use super::{Cause, Handle, JobState, Progress, Report, Stage, Stop};
use crate::config::Settled;

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

    pub(super) fn is_notable(&self, entered: bool) -> bool {
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
