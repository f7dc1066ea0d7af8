//! The domain, pure: what a job is, how it may change, and what each change tells Labelbox.
//!
//! Nothing here reads a clock, a file or a socket. The store loads a [`Job`], lets
//! [`Job::apply`] decide, and writes the job, its timeline entry and the report it owes in one transaction.

mod change;
mod handle;
mod id;
mod place;
mod report;
mod state;
mod state_machine;
mod verdict;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::{ModelEntry, Params, Settled};

pub use change::{Change, Effects, IllegalChange, TimelineEntry};
pub use handle::{Handle, HandleError};
pub use id::{ImportName, InvalidId, JobId, LaunchId, ModelRunId};
pub use place::Place;
pub use report::{ERROR_MESSAGE_LIMIT, PipelineStatus, Report, error_message};
pub use state::{Cause, ImportState, InvalidWord, JobKind, JobState, Stage};
pub use verdict::{
    CAUSE_PATIENCE, Engine, Evidence, Exit, Observation, Outcome, Phase, STOP_PATIENCE, Verdict,
    verdict,
};

/// The version of the contract between server, supervisor and training command.
pub const PROTOCOL: u32 = 1;

/// One accepted request to train one model run.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The row id: jobs are served in this order.
    pub seq: i64,
    /// Grows with every write; a step that saw an older one is refused.
    pub version: i64,
    /// The name of the job.
    pub id: JobId,
    /// The workspace that asked for it.
    pub workspace: String,
    /// What Labelbox wants trained.
    pub model_run_id: ModelRunId,
    /// Labelbox's model, where the request named it.
    pub model_id: Option<String>,
    /// A training, or only the upload of an earlier one's predictions.
    pub kind: JobKind,
    /// The ended job that this one retries.
    pub parent: Option<JobId>,
    /// Who wanted it: `labelbox`, or a command-line user.
    pub actor: String,
    /// The model's entry as it stood at acceptance; later edits never touch a live job.
    pub entry: ModelEntry,
    /// The contract version this job was accepted under.
    pub protocol: u32,
    /// Where it stands.
    pub state: JobState,
    /// What the training command says it is doing.
    pub stage: Option<Stage>,
    /// Why it failed.
    pub cause: Option<Cause>,
    /// The reason in words, for people.
    pub message: Option<String>,
    /// The number of the current attempt; the first is 1.
    pub attempt: u32,
    /// The devices that are this attempt's own.
    pub devices: Vec<u32>,
    /// What the executor needs to find the attempt again.
    pub handle: Option<Handle>,
    /// The boot during which the attempt was submitted.
    pub boot_id: Option<String>,
    /// A wish to stop, kept until it is confirmed.
    pub stop: Option<Stop>,
    /// Why nothing moves right now, for people.
    pub waiting: Option<String>,
    /// The last progress and metrics the command gave.
    pub progress: Progress,
    /// How far the attempt's events have been read, in bytes.
    pub events_offset: u64,
    /// The hyper-parameters it trains with, once Labelbox was asked for those of the run.
    pub settled: Option<Settled>,
    /// Since when its data lies ready.
    pub exported_at: Option<Timestamp>,
    /// When the request was committed.
    pub accepted_at: Timestamp,
    /// When the command was first seen running.
    pub started_at: Option<Timestamp>,
    /// When it came to a terminal state.
    pub ended_at: Option<Timestamp>,
    /// When somebody should look at it again; none while it waits for a slot.
    pub next_check_at: Option<Timestamp>,
    /// When waiting becomes a `queue_timeout`.
    pub queue_deadline: Option<Timestamp>,
    /// A new attempt is not started before this.
    pub not_before: Option<Timestamp>,
}

impl Job {
    /// The hyper-parameters it trains with: those of its entry as long as nobody set others.
    #[must_use]
    pub fn params(&self) -> &Params {
        match &self.settled {
            Some(settled) => &settled.params,
            None => &self.entry.params,
        }
    }

    /// What the run's config sets that is nearly a hyper-parameter and none, for people.
    #[must_use]
    pub fn config_warning(&self) -> Option<String> {
        self.settled.as_ref().and_then(Settled::near_misses)
    }

    /// The name of the current attempt's launch.
    #[must_use]
    pub fn launch_id(&self) -> LaunchId {
        LaunchId {
            job: self.id,
            attempt: self.attempt,
        }
    }
}

/// A wish to stop a job. The first one wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// None for a person's cancel; the time-out that wished it otherwise.
    pub cause: Option<Cause>,
    /// Who wished it.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

/// The last words of a training command about its progress.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// The last note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The last value of each metric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// Where what was made can be found.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub artifacts: BTreeMap<String, String>,
    /// How many entries of each file could not be used.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped: BTreeMap<String, u64>,
}
