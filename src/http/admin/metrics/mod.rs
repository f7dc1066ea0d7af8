//! `/metrics`: how things stand, for Prometheus.

use std::{collections::BTreeMap, fmt::Write};

use jiff::Timestamp;
use warp::{
    http::{HeaderValue, header::CONTENT_TYPE},
    reply::Response,
};

use super::Admin;
use crate::{
    http::error::ApiError,
    job::{Cause, JobState},
    meters::{BOUNDS, Durations},
    store::Standing,
};

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

/// Why jobs end that people are to be woken for.
const WATCHED_CAUSES: [Cause; 4] = [
    Cause::StartFailed,
    Cause::NodeLost,
    Cause::Infra,
    Cause::Lost,
];

impl Admin {
    pub(super) async fn metrics(&self) -> Result<Response, ApiError> {
        let mut page = Page::default();
        let standing = self.store.standing().await?;
        self.write_visits(&mut page);
        self.write_jobs(&mut page, &standing);
        self.write_reports(&mut page, &standing);
        self.write_labelbox(&mut page);
        self.write_exports(&mut page);
        self.write_server(&mut page);
        let mut response = Response::new(page.text.into());
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        Ok(response)
    }

    fn write_visits(&self, page: &mut Page) {
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

    fn write_jobs(&self, page: &mut Page, standing: &Standing) {
        page.begin("jobs", "gauge", "Live jobs");
        for ((model, state), count) in &standing.live {
            page.line(&[("model", model), ("state", state)], count);
        }
        page.begin(
            "jobs_ended_total",
            "counter",
            "Jobs that ended since the start",
        );
        let config = self.config.get();
        let models = config.models.iter().map(|model| &model.slug);
        let watched = |cause: Cause| (JobState::Failed, Some(cause));
        let mut ended: BTreeMap<(String, JobState, Option<Cause>), u64> = models
            .flat_map(|model| {
                let ends = WATCHED_CAUSES.map(watched).into_iter();
                ends.chain([(JobState::Succeeded, None)])
                    .map(|(state, cause)| ((model.clone(), state, cause), 0))
            })
            .collect();
        ended.extend(self.store.meters().ended.all());
        for ((model, state, cause), count) in ended {
            let cause = cause.map_or("", Cause::as_str);
            let labels = [
                ("model", &*model),
                ("state", state.as_str()),
                ("cause", cause),
            ];
            page.line(&labels, count);
        }
        page.begin(
            "imports_total",
            "counter",
            "Imports of predictions that ended since the start",
        );
        for (outcome, count) in self.store.meters().imports.all() {
            page.line(&[("outcome", outcome)], count);
        }
        page.begin(
            "predictions_total",
            "counter",
            "Predictions since the start: imported, refused by Labelbox, rejected before",
        );
        for (outcome, count) in self.store.meters().predictions.all() {
            page.line(&[("outcome", outcome)], count);
        }
        page.begin("slots", "gauge", "Jobs that an executor holds at once");
        for (executor, slots) in &self.slots {
            page.line(&[("executor", executor)], slots);
        }
        page.begin(
            "executor_up",
            "gauge",
            "1 if the engine answered when its jobs were last looked at; left out before the first look",
        );
        for (executor, answering) in &self.answering {
            if let Some(answers) = answering.last() {
                page.line(&[("executor", executor)], u8::from(answers));
            }
        }
        page.begin(
            "queue_age_seconds",
            "gauge",
            "How long the oldest job that has not begun has waited",
        );
        for executor in self.slots.keys() {
            let oldest = standing.oldest_waiting.get(executor);
            page.line(
                &[("executor", executor)],
                oldest.map_or(0.0, |at| seconds_since(*at)),
            );
        }
        page.begin(
            "leftovers",
            "gauge",
            "Ended attempts of which an engine may still hold something",
        );
        page.line(&[], standing.leftovers);
    }

    fn write_reports(&self, page: &mut Page, standing: &Standing) {
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

    fn write_labelbox(&self, page: &mut Page) {
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

    fn write_exports(&self, page: &mut Page) {
        let exports = &self.exports;
        page.begin("exports", "gauge", "Exports of runs' data under way");
        page.line(&[], exports.under_way());
        page.begin(
            "exported_rows_total",
            "counter",
            "Data rows fetched since the start",
        );
        page.line(&[], exports.rows());
        page.begin(
            "exported_bytes_total",
            "counter",
            "Bytes of exports fetched since the start",
        );
        page.line(&[], exports.bytes());
    }

    fn write_server(&self, page: &mut Page) {
        page.begin(
            "store_commit_seconds",
            "histogram",
            "How long the store's transactions took",
        );
        page.durations(&[], &self.store.meters().commits);
        let room = self.room.get();
        page.begin(
            "disk_free_bytes",
            "gauge",
            "Room on the disk under a folder",
        );
        for (folder, free) in [("state_dir", room.state_dir), ("jobs_dir", room.jobs_dir)] {
            if let Some(free) = free {
                page.line(&[("folder", folder)], free);
            }
        }
        page.begin(
            "disk_min_free_bytes",
            "gauge",
            "With less nothing new starts",
        );
        page.line(&[], room.min_free);
        page.begin("build_info", "gauge", "Always 1");
        page.line(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    }
}

fn seconds_since(at: Timestamp) -> f64 {
    Timestamp::now().duration_since(at).as_secs_f64().max(0.0)
}

/// Metrics in Prometheus' text form.
#[derive(Debug, Default)]
struct Page {
    text: String,
    name: &'static str,
}

impl Page {
    /// Begins a metric; the lines that follow are its own.
    fn begin(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        self.put(format_args!(
            "# HELP trainhook_{name} {help}.\n# TYPE trainhook_{name} {kind}\n"
        ));
    }

    fn line(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.line_of("", labels, value);
    }

    fn durations(&mut self, labels: &[(&str, &str)], durations: &Durations) {
        let up_to = durations.up_to();
        let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(&up_to) {
            let labels = [labels, &[("le", &*bound)]].concat();
            self.line_of("_bucket", &labels, count);
        }
        self.line_of("_sum", labels, durations.sum_seconds());
        self.line_of("_count", labels, up_to.last().copied().unwrap_or(0));
    }

    fn line_of(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let name = self.name;
        let labels: Vec<String> = labels
            .iter()
            .map(|(key, text)| format!("{key}=\"{}\"", escape(text)))
            .collect();
        match labels.as_slice() {
            [] => self.put(format_args!("trainhook_{name}{suffix} {value}\n")),
            labels => {
                let labels = labels.join(",");
                self.put(format_args!(
                    "trainhook_{name}{suffix}{{{labels}}} {value}\n"
                ));
            }
        }
    }

    fn put(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing into memory cannot fail.
        let _ = self.text.write_fmt(line);
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
