//! The words of a job's life, each with its text form in the store and in JSON.

use serde::{Deserialize, Serialize};

/// A text that is none of the words of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown word {0:?}")]
pub struct InvalidWord(pub String);

/// Declares an enum whose variants are words: `as_str`, `FromStr`, `Display` and serde all use the same text.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$doc])* #[serde(rename = $text)] $variant,)+ }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidWord;

            fn from_str(text: &str) -> Result<Self, InvalidWord> {
                match text { $($text => Ok(Self::$variant),)+ other => Err(InvalidWord(other.to_owned())) }
            }
        }
    };
}
pub(super) use words;

words! {
    /// Where a job stands.
    JobState {
        /// On disk, and Labelbox has its 200.
        Accepted = "accepted",
        /// Its data is being fetched.
        Exporting = "exporting",
        /// Ready; waits for one of our slots.
        Queued = "queued",
        /// Its launch id is committed; the executor may or may not have been called.
        Submitting = "submitting",
        /// In the engine's own queue.
        Pending = "pending",
        /// The command runs.
        Running = "running",
        /// The command is done; its predictions are on their way.
        Uploading = "uploading",
        /// Done, and Labelbox will be told COMPLETE.
        Succeeded = "succeeded",
        /// Ended by a [`Cause`].
        Failed = "failed",
        /// Ended by a person.
        Cancelled = "cancelled",
    }
}

impl JobState {
    /// True for the three states that never change again.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// True while the job holds one of its executor's slots, and its devices.
    #[must_use]
    pub const fn holds_slot(self) -> bool {
        matches!(self, Self::Submitting | Self::Pending | Self::Running)
    }
}

words! {
    /// Why a job failed.
    Cause {
        /// Labelbox or the data says that this run cannot be trained.
        Preflight = "preflight",
        /// The data could not be fetched.
        ExportFailed = "export_failed",
        /// The engine refuses this launch for good.
        Rejected = "rejected",
        /// The attempt ended before anything claimed it.
        StartFailed = "start_failed",
        /// The command failed.
        JobError = "job_error",
        /// The command was killed for its memory.
        OutOfMemory = "out_of_memory",
        /// It waited longer than the model's `queue_timeout`.
        QueueTimeout = "queue_timeout",
        /// It ran longer than the model's `run_timeout`.
        RunTimeout = "run_timeout",
        /// The engine took the machine away.
        Preempted = "preempted",
        /// The machine went down.
        NodeLost = "node_lost",
        /// Infrastructure, by the command's own word or the engine's.
        Infra = "infra",
        /// Nobody knows how it ended.
        Lost = "lost",
        /// Trained, but its predictions did not arrive.
        UploadFailed = "upload_failed",
    }
}

impl Cause {
    /// True for the causes that a new attempt may cure, by the model's `retry` policy.
    #[must_use]
    pub const fn is_infrastructure(self) -> bool {
        matches!(
            self,
            Self::StartFailed | Self::Preempted | Self::NodeLost | Self::Infra
        )
    }
}

words! {
    /// What a training command says it is doing.
    Stage {
        /// Getting ready: Labelbox is told `PREPARING_DATA`.
        Preparing = "preparing",
        /// Training.
        Training = "training",
        /// Measuring what was learned.
        Evaluating = "evaluating",
        /// Writing its results.
        Finishing = "finishing",
    }
}

words! {
    /// How far a chunk of predictions is on its way into Labelbox.
    ImportState {
        /// On disk, and not sent.
        Frozen = "frozen",
        /// Being sent; Labelbox may have it.
        Posting = "posting",
        /// Labelbox has it, and works on it.
        Posted = "posted",
        /// Labelbox is done with it.
        Finished = "finished",
        /// Labelbox could not take it.
        Failed = "failed",
    }
}

words! {
    /// What a job does.
    JobKind {
        /// Train, then upload.
        Train = "train",
        /// Upload what an earlier job trained.
        Upload = "upload",
    }
}
