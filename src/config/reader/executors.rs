//! `[executors.…]`, as far as all kinds of them have the same settings.

use std::{path::Path, time::Duration};

use super::named_tables;
use crate::config::{
    ExecutorEntry, Table,
    executor::{DEFAULT_LOST_AFTER, DEFAULT_UNCLAIMED_AFTER},
};

/// No engine is looked at more often.
const SHORTEST_POLL: Duration = Duration::from_millis(100);

pub(super) fn executors(root: &mut Table, base: &Path, state_dir: &Path) -> Vec<ExecutorEntry> {
    let mut executors = Vec::new();
    for (name, _, mut table) in named_tables(root, "executors", "a place where jobs run") {
        let kind = table.required_string("kind");
        let max_running = table.integer("max_running", 1..10_001).unwrap_or(1);
        let export_ahead = table.integer("export_ahead", 0..1001).unwrap_or(2);
        let lost_after = table.duration("lost_after").unwrap_or(DEFAULT_LOST_AFTER);
        let unclaimed_after = table
            .duration("unclaimed_after")
            .unwrap_or(DEFAULT_UNCLAIMED_AFTER);
        let poll_interval = table.duration("poll_interval");
        if poll_interval.is_some_and(|interval| interval < SHORTEST_POLL) {
            table.mistake("poll_interval", "must be at least \"100ms\"");
        }
        // The rest is for the executor's own build; only what was asked for so far is judged here.
        let mistakes = table.take_mistakes();
        root.add(mistakes);
        executors.push(ExecutorEntry {
            name,
            kind: kind.unwrap_or_default(),
            max_running,
            export_ahead,
            lost_after,
            unclaimed_after,
            poll_interval,
            folder: base.to_owned(),
            state_dir: state_dir.to_owned(),
            table,
        });
    }
    executors
}
