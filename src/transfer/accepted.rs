//! The first step: Labelbox is asked whether the run exists and belongs to the model that was named, and the job
//! directory is laid out on disk; the run's own config settles the hyper-parameters.

use serde_json::{Map, Value};

use super::{Transfer, steps::Later, upload};
use crate::{
    config::Settled,
    job::{Cause, Change, Job, JobKind},
    job_dir::{JobDir, JobRecord},
    store::StoreError,
};

/// What Labelbox says of a job's run.
enum Answer {
    Fine(Settled),
    /// The run cannot be trained; a sentence for people.
    No(String),
    /// Ask again.
    Later(Later),
}

pub(super) async fn step(transfer: &Transfer, job: Job) -> Result<(), StoreError> {
    let changes = match ask_labelbox(transfer, &job).await {
        Answer::Later(later) => return transfer.try_again(job, later).await,
        Answer::No(message) => vec![Change::Fail {
            cause: Cause::Preflight,
            message,
        }],
        Answer::Fine(settled) => match lay_out(transfer, &job).await? {
            Ok(()) if job.kind == JobKind::Upload => return upload::begin(transfer, job).await,
            // With an export to make, the job waits for its place among those that export.
            Ok(()) if job.entry.export.is_some() => {
                vec![Change::Settle(settled), Change::Wait(None)]
            }
            Ok(()) => vec![Change::Settle(settled), Change::Queue],
            Err(change) => vec![change],
        },
    };
    transfer.conclude(&job, changes).await?;
    Ok(())
}

async fn ask_labelbox(transfer: &Transfer, job: &Job) -> Answer {
    let run = &job.model_run_id;
    let labelboxes = transfer.context.labelboxes.get();
    let Some(labelbox) = labelboxes.get(&job.workspace) else {
        return Answer::Later(Later {
            reason: format!("workspace {} is not configured", job.workspace),
            least: None,
        });
    };
    match labelbox.model_run(run).await {
        Err(error) => Answer::Later(Later {
            reason: format!("Labelbox cannot be asked about the run: {error}"),
            least: error.retry_after,
        }),
        Ok(None) => Answer::No(format!(
            "model run {run} does not exist in Labelbox, or the API key of workspace {} cannot see it",
            job.workspace
        )),
        Ok(Some(found)) => match (&job.model_id, &found.model_id) {
            (Some(asked), Some(owner)) if asked != owner => Answer::No(format!(
                "model run {run} belongs to model {owner}, not to {asked}"
            )),
            _ => settle(job, &found.training_metadata),
        },
    }
}

/// The hyper-parameters as they hold for this run. A config that is no object sets none.
fn settle(job: &Job, config: &Value) -> Answer {
    let none = Map::new();
    let config = match job.kind {
        JobKind::Train => config.as_object().unwrap_or(&none),
        // It trains nothing.
        JobKind::Upload => &none,
    };
    let entry = &job.entry;
    match entry.params.settle(&entry.param_limits, config) {
        Ok(settled) => {
            if let Some(warning) = settled.near_misses() {
                tracing::warn!(job_id = %job.id, model_run_id = %job.model_run_id, "{warning}");
            }
            Answer::Fine(settled)
        }
        Err(message) => Answer::No(message),
    }
}

/// Puts the job directory on disk, with the body as Labelbox sent it and the model's own files as they are now; or
/// answers how the job fails.
async fn lay_out(transfer: &Transfer, job: &Job) -> Result<Result<(), Change>, StoreError> {
    let store = &transfer.context.store;
    let webhook = store.webhook(job.id).await?;
    let dir = JobDir::new(&transfer.context.jobs_dir, job.id);
    let record = JobRecord::of(job, store.server_id());
    let workdir = job.entry.workdir.clone();
    let files = match job.kind {
        JobKind::Train => job.entry.files.clone(),
        // It runs nothing.
        JobKind::Upload => Vec::new(),
    };
    let create = move || {
        let created = dir.create(&webhook);
        created
            .and_then(|()| dir.write_record(&record))
            .map_err(unwritable)?;
        dir.take_code(&workdir, &files)
            .map_err(|error| Change::Fail {
                cause: Cause::Preflight,
                message: format!("the model's files cannot be copied: {error}"),
            })
    };
    let created = tokio::task::spawn_blocking(create).await;
    Ok(created.unwrap_or_else(|error| Err(unwritable(std::io::Error::other(error)))))
}

fn unwritable(error: std::io::Error) -> Change {
    Change::Fail {
        cause: Cause::Infra,
        message: format!("cannot write the job directory: {error}"),
    }
}
