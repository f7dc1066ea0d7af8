//! The end of an export: `data/manifest.json`, after which everything is on disk to stay.

use std::{fs::File, io};

use jiff::Timestamp;

use super::{
    Export,
    failure::Failure,
    on_disk, ontology,
    record::{Record, remove_splits},
};
use crate::{
    dataset::{DataFile, FileDigest, Manifest, Split},
    formats::Notes,
    job_dir::{JobDir, files, hash_file},
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
        let dir = self.dir.clone();
        on_disk(move || {
            manifest.ontology = Some(digest(&dir, ontology::FILE)?);
            let text = serde_json::to_vec_pretty(&manifest)?;
            files::write_atomic(&dir.data().join(FILE), &text)?;
            remove_splits(&dir)?;
            Ok(manifest)
        })
        .await
    }
}

/// The file of that name, as it lies in the data folder.
fn digest(dir: &JobDir, name: &str) -> io::Result<FileDigest> {
    let (bytes, sha256) = hash_file(&File::open(dir.data().join(name))?)?;
    Ok(FileDigest {
        file: name.to_owned(),
        bytes,
        sha256,
    })
}
