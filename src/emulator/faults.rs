//! Faults on demand: what goes wrong, for which calls, how often.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// No fault holds a call longer than this.
pub const HOLD_LIMIT: Duration = Duration::from_secs(600);

/// Something that goes wrong with the next calls it fits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// The root field, the operation's name in the SDK or the path of the calls it is for; every call and file if none. For
    /// files also `/files`, their folder such as `/files/imports`, or `/files/imports/errors` and `/files/imports/statuses`.
    #[serde(default)]
    pub operation: Option<String>,
    /// How many calls it spoils before it is gone. Default 1.
    #[serde(default = "once")]
    pub times: u32,
    /// What happens to them.
    pub kind: FaultKind,
}

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum FaultKind {
    /// It is answered like this and has no effect.
    Status {
        /// The HTTP status.
        status: u16,
        /// The body: text goes out as HTML, anything else as JSON. Empty if none.
        #[serde(default)]
        body: Option<Value>,
        /// More headers, `retry-after` for example.
        #[serde(default)]
        headers: Vec<(String, String)>,
    },
    /// It is answered 200 with this error in `errors[]` and has no effect.
    GraphqlError {
        /// `extensions.code`.
        code: String,
        /// The error's text.
        message: String,
        /// `extensions.exception.status`.
        #[serde(default)]
        exception_status: Option<u16>,
    },
    /// It is answered as ever, but this much later; at most [`HOLD_LIMIT`].
    Delay {
        /// How much later, in milliseconds.
        milliseconds: u64,
    },
    /// It takes effect at once and is answered this much later; at most [`HOLD_LIMIT`].
    AnswerLate {
        /// How much later, in milliseconds.
        milliseconds: u64,
    },
    /// The connection is closed without an answer; the call has no effect.
    DropBefore,
    /// The connection is closed without an answer after the call took effect.
    DropAfter,
    /// Of a file only this much is sent before the connection is closed.
    TruncateBody {
        /// So many bytes.
        bytes: usize,
    },
    /// The address of a file does not hold any longer: it answers 403, until another one is asked for.
    AddressExpires,
    /// The export task or import that the call begins fails as a whole.
    Fails {
        /// What the task, or each line of the import's files, tells of it. An import without a message has no files.
        message: String,
    },
    /// The export task or import that the call begins takes this long.
    Takes {
        /// How long, in milliseconds.
        milliseconds: u64,
    },
    /// The import that the call begins refuses one line of so many.
    RefusesEvery {
        /// So many.
        lines: u32,
    },
    /// Nothing happens for this long, at most [`HOLD_LIMIT`]; then as [`FaultKind::DropBefore`].
    Hang {
        /// How long, in milliseconds.
        milliseconds: u64,
    },
}

impl Fault {
    /// One fault, once.
    #[must_use]
    pub fn once(operation: &str, kind: FaultKind) -> Self {
        Self::times(operation, 1, kind)
    }

    /// The same fault for the next `times` calls of `operation`.
    #[must_use]
    pub fn times(operation: &str, times: u32, kind: FaultKind) -> Self {
        Self {
            operation: Some(operation.to_owned()),
            times,
            kind,
        }
    }
}

/// The faults that wait for their calls, in the order they were added.
#[derive(Debug, Default)]
pub(super) struct Faults {
    waiting: Vec<Fault>,
}

impl Faults {
    /// More faults than this do not wait; the oldest leaves.
    const LIMIT: usize = 1000;

    pub(super) fn add(&mut self, fault: Fault) {
        if fault.times == 0 {
            return;
        }
        if self.waiting.len() == Self::LIMIT {
            self.waiting.remove(0);
        }
        self.waiting.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// The fault for a call that goes by any of `names`, if one waits; one time less is left of it.
    pub(super) fn take(&mut self, names: &[&str]) -> Option<FaultKind> {
        let fits = |fault: &Fault| match &fault.operation {
            Some(operation) => names.contains(&operation.as_str()),
            None => true,
        };
        let at = self.waiting.iter().position(fits)?;
        self.waiting[at].times -= 1;
        match self.waiting[at].times {
            0 => Some(self.waiting.remove(at).kind),
            _ => Some(self.waiting[at].kind.clone()),
        }
    }
}

pub(super) fn hold(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds).min(HOLD_LIMIT)
}

fn once() -> u32 {
    1
}
