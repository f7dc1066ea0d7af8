//! The end of an export: `data/manifest.json`, after which everything is on disk to stay.

use jiff::Timestamp;

use super::{
    Export,
    failure::Failure,
    on_disk,
    record::{Record, remove_splits},
};
use crate::{
    dataset::{DataFile, Manifest, Split},
    formats::Notes,
    job_dir::files,
    transfer::files::FilesReport,
};

const FILE: &str = "manifest.json";

impl Export<'_> {
    pub(super) async fn finish(
        &self,
        task: &str,
        record: Record,
        (files, notes): (Option<FilesReport>, Notes),
    ) -> Result<Manifest, Failure> {
        let Record {
            read, files: parts, ..
        } = record;
        let splits = Split::ALL.into_iter().zip(parts).map(|(split, part)| {
            let file = DataFile {
                file: split.file_name().to_owned(),
                rows: part.rows,
                bytes: part.bytes,
                sha256: part.sha256,
            };
            (split, file)
        });
        let run = self.job.model_run_id.as_str();
        let times = (self.began_at, Timestamp::now());
        let mut manifest = Manifest::new(run, task, times, read, splits.collect());
        if let Some(report) = files {
            report.tell(&mut manifest);
        }
        if !notes.is_empty() {
            tracing::warn!(job_id = %self.job.id, "not everything has a place in the formats: {notes}");
            manifest.format_notes = Some(notes.to_string());
        }
        let (written, dir) = (manifest.clone(), self.dir.clone());
        on_disk(move || {
            let text = serde_json::to_vec_pretty(&written)?;
            files::write_atomic(&dir.data().join(FILE), &text)?;
            remove_splits(&dir)
        })
        .await?;
        Ok(manifest)
    }
}
