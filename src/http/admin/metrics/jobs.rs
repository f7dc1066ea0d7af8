//! Jobs, what came of their predictions, and the places where they run.

use std::collections::BTreeMap;

use super::page::{Page, seconds_since};
use crate::{
    http::admin::Admin,
    job::{Cause, JobState},
    store::Standing,
};

/// Why jobs end that people are to be woken for.
const WATCHED_CAUSES: [Cause; 4] = [
    Cause::StartFailed,
    Cause::NodeLost,
    Cause::Infra,
    Cause::Lost,
];

impl Admin {
    pub(super) fn write_jobs(&self, page: &mut Page, standing: &Standing) {
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
}
