//! How an upload ends, in words that a person can act on.

use std::time::Duration;

use super::failure::Failure;
use crate::{
    config::format_duration,
    job::{Change, Job},
    predictions::{Frozen, MOST_LISTED},
    store::ImportRow,
};

/// Within the job's folder, where people find all that was not taken.
const LISTED: &str = "server/predictions.rejected.ndjson";

/// Reasons that a sentence names.
pub(super) const REASONS: usize = 3;

/// Whether so few were refused that the training counts. Where nothing is left to arrive, no number that may be refused
/// makes that a success.
pub(super) fn is_enough(job: &Job, refused: u64, all: u64) -> bool {
    let nothing_left = refused > 0 && refused >= all;
    job.entry.max_row_errors.allows(refused, all) && !nothing_left
}

/// Everything was sent: whether that is good enough.
pub(super) fn judge(
    job: &Job,
    frozen: &Frozen,
    rows: &[ImportRow],
) -> Result<Vec<Change>, Failure> {
    let all_refused = refused_so_far(frozen, rows);
    if !is_enough(job, all_refused, frozen.lines) {
        let ours = frozen.first.iter().map(|problem| problem.describe());
        let theirs = rows.iter().filter_map(|row| row.note.clone());
        let text = refused(all_refused, frozen.lines, ours.chain(theirs));
        return Err(Failure::Final(text));
    }
    Ok(vec![counted(job, frozen, rows), Change::Succeed])
}

fn refused_so_far(frozen: &Frozen, rows: &[ImportRow]) -> u64 {
    let by_labelbox: u64 = rows.iter().filter_map(|row| row.refused).sum();
    frozen.rejected + by_labelbox
}

/// Labelbox is told how many lines of predictions and metrics it has, and how many were refused.
pub(super) fn counted(job: &Job, frozen: &Frozen, rows: &[ImportRow]) -> Change {
    let refused = refused_so_far(frozen, rows);
    let mut progress = job.progress.clone();
    #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
    let mut set = |name: &str, value: u64| {
        progress.metrics.insert(name.to_owned(), value as f64);
    };
    set("lines_imported", imported(frozen, rows));
    if refused > 0 {
        set("lines_refused", refused);
    }
    Change::Progress {
        stage: job.stage,
        progress,
        events_offset: job.events_offset,
        report: false,
    }
}

/// `trained, but 37 of 5000 predictions were refused: 30 × … (line 3 is the first); line 8: …`.
pub(super) fn refused(refused: u64, all: u64, reasons: impl Iterator<Item = String>) -> String {
    let reasons: Vec<String> = reasons.take(REASONS).collect();
    let were = if refused == 1 { "was" } else { "were" };
    let what = format!("trained, but {refused} of {all} predictions {were} refused");
    let listed = match refused > MOST_LISTED {
        true => format!("the first {MOST_LISTED} are listed"),
        false => "all are listed".to_owned(),
    };
    match reasons.is_empty() {
        true => what,
        false => format!("{what}: {}; {listed} in {LISTED}", reasons.join("; ")),
    }
}

/// Somebody stopped it.
pub(super) fn cut_short(frozen: Option<&Frozen>, rows: &[ImportRow]) -> Vec<Change> {
    let after = describe(frozen, rows);
    vec![Change::CutShort { after }]
}

/// It took longer than it may.
pub(super) fn too_slow(timeout: Duration, frozen: Option<&Frozen>, rows: &[ImportRow]) -> String {
    let (limit, imported) = (format_duration(timeout), describe(frozen, rows));
    format!(
        "trained, but the upload took longer than its upload_timeout of {limit}: {imported}; \
         `trainhook jobs retry-upload` goes on with it"
    )
}

/// How many lines Labelbox has.
fn imported(frozen: &Frozen, rows: &[ImportRow]) -> u64 {
    let taken = |row: &ImportRow| Some(row.lines.saturating_sub(row.refused?));
    let taken: u64 = rows.iter().filter_map(taken).sum();
    frozen.taken + taken
}

/// `40000 of 50000 predictions were imported`.
fn describe(frozen: Option<&Frozen>, rows: &[ImportRow]) -> String {
    match frozen {
        Some(frozen) => format!(
            "{} of {} predictions were imported",
            imported(frozen, rows),
            frozen.lines
        ),
        None => "no predictions were imported".to_owned(),
    }
}
