//! The supervisor: one run for each attempt, ended wholly, recorded truthfully.

mod claims;
mod ends;
mod reasons;
mod starts;
mod stops;

use std::{fs, time::Duration};

use trainhook::job_dir::{AttemptDir, CancelRequest};

use crate::support::attempts::Attempt;

/// Each run of this script leaves one line.
const COUNTED: &str = "echo ran >> $W/runs";

fn runs(attempt: &Attempt) -> usize {
    fs::read_to_string(attempt.file("runs")).map_or(0, |text| text.lines().count())
}

fn wish_cancel(dir: &AttemptDir, grace: Duration) {
    let grace_ms = u64::try_from(grace.as_millis()).expect("a short grace");
    dir.request_cancel(&CancelRequest {
        grace_ms,
        reason: "test".to_owned(),
    })
    .expect("cancel.json");
}
