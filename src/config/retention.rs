//! `[retention]`: what of an ended job's folder is removed, and when.

use std::time::Duration;

/// A part of a job's folder that may be removed after the job has ended. Claims, exit records and requests are none:
/// they keep a job from being started twice, whatever becomes of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The exported data.
    Data,
    /// What a further attempt would have found.
    Checkpoint,
    /// The command's output and its events.
    Logs,
    /// All that the command left in `out/`.
    Models,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Data, Self::Checkpoint, Self::Logs, Self::Models];

    /// The word for it, which is its key in `[retention]`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Checkpoint => "checkpoint",
            Self::Logs => "logs",
            Self::Models => "models",
        }
    }

    /// Its place in a set of parts.
    #[must_use]
    pub const fn bit(self) -> u8 {
        match self {
            Self::Data => 1,
            Self::Checkpoint => 2,
            Self::Logs => 4,
            Self::Models => 8,
        }
    }

    /// The members of a set.
    #[must_use]
    pub fn in_set(set: u8) -> Vec<Self> {
        let member = |part: &Self| part.bit() & set != 0;
        Self::ALL.into_iter().filter(member).collect()
    }
}

/// `[retention]`: ages count from the end of the job; none keeps the part for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Default 7 days.
    pub data: Option<Duration>,
    /// Default 7 days.
    pub checkpoint: Option<Duration>,
    /// Default 90 days.
    pub logs: Option<Duration>,
    /// Default none.
    pub models: Option<Duration>,
    /// So many of the newest ended jobs of each model keep everything. Default 3.
    pub keep: u32,
    /// Between two looks. Default 1 h.
    pub every: Duration,
}

impl RetentionConfig {
    /// How long a part is kept.
    #[must_use]
    pub const fn age(&self, part: Part) -> Option<Duration> {
        match part {
            Part::Data => self.data,
            Part::Checkpoint => self.checkpoint,
            Part::Logs => self.logs,
            Part::Models => self.models,
        }
    }
}
