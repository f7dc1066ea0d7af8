//! `events.ndjson`: what a training command tells while it runs. Appended by the command, read by offset.

use std::io::{self, Read, Seek, SeekFrom, Write};

use serde::{Deserialize, Serialize};

use super::{AttemptDir, files};
use crate::job::Stage;

/// A longer line is skipped, in bytes.
pub const EVENT_LINE_LIMIT: usize = 64 * 1024;

/// The most that one look reads, in bytes; the rest is read at the next look.
const BATCH_LIMIT: u64 = 4 * 1024 * 1024;

/// One line of `events.ndjson`. Lines of other shapes are skipped and counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// What the command is doing now.
    Stage {
        /// The stage.
        stage: Stage,
    },
    /// How far it is.
    Progress {
        /// 0 to 100.
        percent: f64,
    },
    /// A value that was measured.
    Metric {
        /// Its name.
        name: String,
        /// Its value.
        value: f64,
        /// At which step.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<u64>,
    },
    /// A sentence for people.
    Note {
        /// How bad it is.
        #[serde(default)]
        level: Level,
        /// The sentence.
        text: String,
    },
}

/// How bad a note is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Good to know.
    #[default]
    Info,
    /// Worth a look.
    Warning,
    /// Something went wrong.
    Error,
}

/// What one look at the events found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventBatch {
    /// The events, in order.
    pub events: Vec<Event>,
    /// Lines that are none.
    pub skipped: u64,
    /// Read on from here next time.
    pub offset: u64,
}

impl AttemptDir {
    /// Appends one event as one line; a torn line that a crash left before it is closed first.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append_event(&self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event).map_err(io::Error::other)?;
        line.push(b'\n');
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(self.events())?;
        if file.metadata()?.len() > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                line.insert(0, b'\n');
            }
        }
        file.write_all(&line)
    }

    /// Reads the complete lines from `offset` on, a bounded number of bytes at a time.
    ///
    /// # Errors
    /// When the file is there but unreadable.
    pub fn read_events(&self, offset: u64) -> io::Result<EventBatch> {
        let Some(mut file) = files::open_untrusted(self.path(), "events.ndjson")? else {
            return Ok(EventBatch {
                offset,
                ..EventBatch::default()
            });
        };
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(BATCH_LIMIT).read_to_end(&mut bytes)?;
        let complete = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => last + 1,
            // A line longer than a whole batch is nobody's event: step over it.
            None if bytes.len() as u64 == BATCH_LIMIT => bytes.len(),
            None => 0,
        };
        let lines = bytes[..complete]
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.trim_ascii().is_empty());
        let (mut events, mut skipped) = (Vec::new(), 0);
        for line in lines {
            let fits = line.len() <= EVENT_LINE_LIMIT;
            match serde_json::from_slice(line).ok().filter(|_| fits) {
                Some(event) => events.push(event),
                None => skipped += 1,
            }
        }
        Ok(EventBatch {
            events,
            skipped,
            offset: offset + complete as u64,
        })
    }
}
