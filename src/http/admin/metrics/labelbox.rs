//! What passes between us and Labelbox: its requests, our reports and calls.

use std::collections::BTreeMap;

use super::page::{Page, seconds_since};
use crate::{http::admin::Admin, store::Standing};

/// Answers to Labelbox that are told from the start, since people are to be woken when one is given.
const WATCHED_ANSWERS: [&str; 8] = [
    "accepted",
    "duplicate",
    "models",
    "signature_malformed",
    "signature_mismatch",
    "signature_missing",
    "too_many",
    "unavailable",
];

impl Admin {
    pub(super) fn write_visits(&self, page: &mut Page) {
        page.begin(
            "requests_total",
            "counter",
            "Requests to Labelbox's listener, by answer",
        );
        // A line that first appears with its first event would show no increase.
        let config = self.config.get();
        let workspaces = config.workspaces.iter().map(|workspace| &workspace.name);
        let mut counts: BTreeMap<(String, &str), u64> = workspaces
            .flat_map(|name| WATCHED_ANSWERS.map(|answer| ((name.clone(), answer), 0)))
            .collect();
        for (workspace, answer, count) in self.visits.answers() {
            counts.insert((workspace, answer), count);
        }
        for ((workspace, answer), count) in counts {
            page.line(&[("workspace", &workspace), ("answer", answer)], count);
        }
        page.begin(
            "webhook_secret_last_used_timestamp_seconds",
            "gauge",
            "When a secret last signed since the start; secrets that did not are left out",
        );
        for (workspace, place, last) in self.secret_uses() {
            if let Some(last) = last {
                let labels = [("workspace", &*workspace), ("place", &*place)];
                page.line(&labels, last.as_second());
            }
        }
    }

    pub(super) fn write_reports(&self, page: &mut Page, standing: &Standing) {
        let config = self.config.get();
        let workspaces: Vec<&str> = config.workspaces.iter().map(|one| &*one.name).collect();
        page.begin(
            "reports_owed",
            "gauge",
            "Status updates that Labelbox has not taken yet",
        );
        for name in &workspaces {
            let owed = standing.owed.get(*name).map_or(0, |(count, _)| *count);
            page.line(&[("workspace", name)], owed);
        }
        page.begin(
            "report_lag_seconds",
            "gauge",
            "How long the oldest of them is owed",
        );
        for name in &workspaces {
            let lag = standing
                .owed
                .get(*name)
                .map_or(0.0, |(_, since)| seconds_since(*since));
            page.line(&[("workspace", name)], lag);
        }
        page.begin(
            "parked_runs",
            "gauge",
            "Model runs whose updates Labelbox refuses",
        );
        for name in &workspaces {
            let parked = standing.parked_runs.get(*name).copied().unwrap_or(0);
            page.line(&[("workspace", name)], parked);
        }
        page.begin(
            "parked_workspaces",
            "gauge",
            "1 if Labelbox refuses the workspace's API key",
        );
        for name in &workspaces {
            let parked = standing.parked_workspaces.contains_key(*name);
            page.line(&[("workspace", name)], u8::from(parked));
        }
    }

    pub(super) fn write_labelbox(&self, page: &mut Page) {
        let labelboxes = self.labelboxes.get();
        page.begin(
            "labelbox_calls_total",
            "counter",
            "Calls to Labelbox, by outcome",
        );
        for (workspace, labelbox) in labelboxes.iter() {
            for ((call, outcome), count) in labelbox.meters().calls.all() {
                let labels = [
                    ("workspace", &**workspace),
                    ("call", call),
                    ("outcome", outcome),
                ];
                page.line(&labels, count);
            }
        }
        page.begin("labelbox_call_seconds", "histogram", "How long they took");
        for (workspace, labelbox) in labelboxes.iter() {
            page.durations(&[("workspace", workspace)], &labelbox.meters().durations);
        }
    }
}
