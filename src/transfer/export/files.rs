//! The files of the rows, where the model wants them: after the rows, before the manifest.

use super::{Export, failure::Failure};
use crate::{
    config::format_size,
    transfer::{
        files::{FilesError, FilesReport, Plan, Progress, fetch},
        steps::Later,
    },
};

/// Where people read how far the files are.
const PART: &str = "files";

impl Export<'_> {
    /// Fetches the files that the task's rows name; none if the model does not want any.
    ///
    /// `renewable` says whether another task may give fresh addresses.
    pub(super) async fn files(
        &self,
        task: &str,
        renewable: bool,
    ) -> Result<Option<FilesReport>, Failure> {
        let wanted = self.job.entry.export.as_ref();
        let Some(export) = wanted.filter(|export| export.files) else {
            return Ok(None);
        };
        let context = self.transfer.files();
        let context = context.map_err(|error| Failure::later(error.to_string()))?;
        let labelboxes = self.transfer.context.labelboxes.get();
        let Some(labelbox) = labelboxes.get(&self.job.workspace) else {
            let text = format!("workspace {} is not configured", self.job.workspace);
            return Err(Failure::later(text));
        };
        let (data_dir, server_dir) = (self.dir.data(), self.dir.server());
        let plan = Plan {
            data_dir: &data_dir,
            server_dir: &server_dir,
            export,
            export_id: task,
            exported_at: self.began_at,
            renewable,
            endpoint: labelbox.endpoint(),
            api_key: labelbox.api_key(),
            min_free: self.transfer.context.room.get().min_free,
        };
        let fetched = fetch(&context, &plan, |progress| {
            self.note(PART, describe(progress));
        });
        let report = fetched.await?;
        self.note(PART, None);
        tracing::info!(
            job_id = %self.job.id, files = report.here, bytes = report.bytes, missing = report.missing,
            "the files of the data are here",
        );
        Ok(Some(report))
    }
}

fn describe(progress: Progress) -> String {
    let Progress {
        here,
        bytes,
        missing,
        trouble,
    } = progress;
    let trouble = trouble.map(|trouble| format!("; waits for {trouble}"));
    let trouble = trouble.unwrap_or_default();
    let missing = match missing {
        0 => String::new(),
        missing => format!(", {missing} missing"),
    };
    format!("{here} files, {}{missing}{trouble}", format_size(bytes))
}

impl From<FilesError> for Failure {
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::Io(error) => Self::disk(&error),
            FilesError::Later { reason, least } => Self::Later(Later { reason, least }),
            FilesError::Expired => Self::Expired,
            other => Self::export(other.to_string()),
        }
    }
}
