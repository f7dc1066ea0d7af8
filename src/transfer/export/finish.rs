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
    job_dir::files,
};

const FILE: &str = "manifest.json";

impl Export<'_> {
    pub(super) async fn finish(&self, task: &str, record: Record) -> Result<Manifest, Failure> {
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
        let manifest = Manifest::new(run, task, times, read, splits.collect());
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
