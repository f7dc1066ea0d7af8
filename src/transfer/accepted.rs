//! The first step: Labelbox is asked whether the run exists and belongs to the model that was named, and the job
//! directory is laid out on disk.

use super::{Transfer, steps::Later};
use crate::{
    job::{Cause, Change, Job},
    job_dir::{JobDir, JobRecord},
    store::StoreError,
};

/// What Labelbox says of a job's run.
enum Answer {
    Fine,
    /// The run cannot be trained; a sentence for people.
    No(String),
    /// Ask again.
    Later(Later),
}

pub(super) async fn step(transfer: &Transfer, job: Job) -> Result<(), StoreError> {
    let change = match ask_labelbox(transfer, &job).await {
        Answer::Later(later) => return transfer.try_again(job, later).await,
        Answer::No(message) => Change::Fail {
            cause: Cause::Preflight,
            message,
        },
        Answer::Fine => match lay_out(transfer, &job).await? {
            Ok(()) => Change::Queue,
            Err(change) => change,
        },
    };
    transfer.conclude(&job, vec![change]).await?;
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
            _ => Answer::Fine,
        },
    }
}

/// Puts the job directory on disk, with the body as Labelbox sent it and the model's own files as they are now; or
/// answers how the job fails.
async fn lay_out(transfer: &Transfer, job: &Job) -> Result<Result<(), Change>, StoreError> {
    let store = &transfer.context.store;
    let webhook = store.webhook(job.id).await?;
    let dir = JobDir::new(&transfer.context.jobs_dir, job.id);
    let record = JobRecord::of(job, store.server_id());
    let (workdir, files) = (job.entry.workdir.clone(), job.entry.files.clone());
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
