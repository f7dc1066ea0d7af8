//! `[executors.…]`: the places to run, as far as all kinds of them have the same settings.

use std::{path::PathBuf, time::Duration};

use super::Table;

/// An attempt whose engine has not answered for this long is lost, unless the executor says otherwise.
pub(super) const DEFAULT_LOST_AFTER: Duration = Duration::from_secs(24 * 3600);

/// As long as a command may be unclaimed on an engine that runs it before people are told.
pub(super) const DEFAULT_UNCLAIMED_AFTER: Duration = Duration::from_secs(120);

/// `[executors.<name>]`: a place to run. The kind decides what else the table may hold.
#[derive(Debug, Clone)]
pub struct ExecutorEntry {
    /// The table's key.
    pub name: String,
    /// Which executor builds it: `local`, or one that the program registered.
    pub kind: String,
    /// Jobs of ours it holds at once.
    pub max_running: u32,
    /// Jobs whose data is fetched before there is a slot for them. Default 2.
    pub export_ahead: u32,
    /// An attempt whose engine has not answered for this long is lost. Default 24 h.
    pub lost_after: Duration,
    /// Of an attempt that its engine runs and nobody has claimed for this long people are told. Default 2 min.
    pub unclaimed_after: Duration,
    /// How often running attempts are looked at; the executor's own choice if none.
    pub poll_interval: Option<Duration>,
    /// The folder of the file, from which relative paths in the table start.
    pub folder: PathBuf,
    /// The server's own folder, which no job may see.
    pub state_dir: PathBuf,
    /// What is left of the table, for the executor's own `build`.
    pub table: Table,
}

impl ExecutorEntry {
    /// Whether both tables say the same, wherever in the file they say it.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let settings = |entry: &Self| {
            let table = entry.table.clone().plain();
            (
                entry.kind.clone(),
                entry.max_running,
                entry.export_ahead,
                entry.lost_after,
                entry.unclaimed_after,
                entry.poll_interval,
                table,
            )
        };
        self.name == other.name && settings(self) == settings(other)
    }
}
