//! Jobs and reports in JSON, as people and programs see them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Admin;
use crate::{
    http::error::ApiError,
    job::{Job, JobState},
    job_dir::JobDir,
    store::{ImportRow, JobCounts, Leftover, ReportRow, TimelineRow},
};

/// How full each executor is, asked once for a whole list.
#[derive(Debug, Default)]
pub(super) struct Fullness {
    counts: BTreeMap<String, JobCounts>,
}

impl Admin {
    /// A job with everything worth knowing.
    pub(super) async fn view(&self, job: &Job, fullness: &mut Fullness) -> Result<Value, ApiError> {
        let waiting = self.waiting(job, fullness).await?;
        let mut view = json!({
            "id": job.id, "state": job.state, "stage": job.stage, "cause": job.cause, "message": job.message,
            "model": job.entry.slug, "modelType": job.entry.title, "workspace": job.workspace,
            "modelRunId": job.model_run_id, "modelId": job.model_id, "executor": job.entry.executor,
            "attempt": job.attempt, "launchId": job.launch_id(), "devices": job.devices, "actor": job.actor,
            "parent": job.parent, "kind": job.kind, "waiting": waiting, "stopWished": job.stop,
            "progress": {
                "percent": job.progress.percent, "note": job.progress.note, "metrics": job.progress.metrics,
                "skipped": job.progress.skipped,
            },
            "acceptedAt": time(job.accepted_at), "startedAt": job.started_at.map(time),
            "endedAt": job.ended_at.map(time), "labelboxStatus": job.pipeline_status(),
            "jobDir": JobDir::new(&self.jobs_dir, job.id).path(),
        });
        drop_nulls(&mut view);
        Ok(view)
    }

    /// Why a job does not move, in words; made at the moment of looking, since it changes with the others.
    async fn waiting(
        &self,
        job: &Job,
        fullness: &mut Fullness,
    ) -> Result<Option<String>, ApiError> {
        let executor = &job.entry.executor;
        if !job.state.is_terminal() && !self.slots.contains_key(executor) {
            return Ok(Some(format!(
                "executor {executor} is not configured in this server: restart it if models.toml has it by now"
            )));
        }
        if matches!(job.state, JobState::Accepted | JobState::Queued)
            && let Some(shortage) = self.room.get().shortage()
        {
            return Ok(Some(shortage));
        }
        if job.state == JobState::Exporting && job.waiting.is_none() {
            let noted = self.exports.noted(job.id);
            let why = "waits for its turn among the exports under way".to_owned();
            return Ok(Some(noted.unwrap_or(why)).filter(|text| !text.is_empty()));
        }
        if job.state == JobState::Accepted && job.next_check_at.is_none() {
            return Ok(Some(format!(
                "waits until fewer jobs of executor {executor} export their data, or wait with it for a slot"
            )));
        }
        if job.state != JobState::Queued {
            return Ok(job.waiting.clone());
        }
        if let Some(at) = job.not_before.filter(|at| *at > Timestamp::now()) {
            return Ok(Some(format!("waits for its next attempt at {}", time(at))));
        }
        let counts = match fullness.counts.get(executor) {
            Some(counts) => *counts,
            None => self.store.counts(executor.clone()).await?,
        };
        fullness.counts.insert(executor.clone(), counts);
        let position = self.store.queue_position(job).await? + 1;
        let (taken, slots) = (
            counts.holding,
            self.slots.get(executor).copied().unwrap_or(0),
        );
        Ok(Some(match taken < slots {
            true => format!(
                "position {position} in the queue of executor {executor}: waits for free devices or for its model's max_running"
            ),
            false => format!(
                "position {position} in the queue of executor {executor}: {taken} of {slots} slots are taken"
            ),
        }))
    }
}

/// What an engine may still hold of a job, in words.
pub(super) fn leftover(left: &Leftover) -> String {
    let (executor, launch) = (&left.executor, left.handle.launch_id);
    let since = time(left.created_at);
    let told =
        format!("executor {executor} may still have {launch}, which was given up at {since}");
    match &left.last_error {
        Some(error) => format!("{told}; asked to end it {} times: {error}", left.failures),
        None => told,
    }
}

pub(super) fn timeline(rows: &[TimelineRow]) -> Vec<Value> {
    let line = |row: &TimelineRow| {
        let mut line = json!({"at": time(row.at), "event": row.event, "detail": row.detail});
        drop_nulls(&mut line);
        line
    };
    rows.iter().map(line).collect()
}

pub(super) fn reports(rows: &[ReportRow]) -> Vec<Value> {
    let view = |row: &ReportRow| {
        let mut view = json!({
            "id": row.id, "workspace": row.workspace, "modelRunId": row.model_run_id, "job": row.job,
            "status": row.report.status, "errorMessage": row.report.error_message,
            "metadata": row.report.metadata, "state": row.state, "createdAt": time(row.created_at),
            "failures": row.failures, "error": row.error,
        });
        drop_nulls(&mut view);
        view
    };
    rows.iter().map(view).collect()
}

pub(super) fn imports(rows: &[ImportRow]) -> Vec<Value> {
    let view = |row: &ImportRow| {
        let mut view = json!({
            "chunk": row.chunk, "name": row.name, "state": row.state, "predictions": row.lines,
            "refused": row.refused, "firstReason": row.note, "postedAt": row.posted_at.map(time),
        });
        drop_nulls(&mut view);
        view
    };
    rows.iter().map(view).collect()
}

/// RFC 3339 with milliseconds.
pub(super) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// What is not there is left out.
fn drop_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, field| !field.is_null());
        fields.values_mut().for_each(drop_nulls);
    }
}
