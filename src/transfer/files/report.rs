//! What came of fetching: counts, and which files are missing.

use super::{FilesError, Rewritten, journal::Outcome, line::Wanted};
use crate::{
    config::Tolerance,
    dataset::{DataFile, Manifest, MissingFile},
};

/// So many missing files are listed in the manifest; all are counted.
pub(super) const LISTED: usize = 100;

/// So many are named in a failure's sentence.
const NAMED: usize = 3;

/// What came of fetching the files of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilesReport {
    /// So many were wanted.
    pub wanted: u64,
    /// So many are in their places.
    pub here: u64,
    /// How much that is.
    pub bytes: u64,
    /// So many could not be had.
    pub missing: u64,
    /// The first of them, at most 100.
    pub first_missing: Vec<MissingFile>,
    /// The file that lists all of them; none as long as it is not written.
    pub missing_list: Option<DataFile>,
    /// The split files as they are now, with each row's `local_path`.
    pub splits: Vec<Rewritten>,
}

impl FilesReport {
    pub(super) fn add(&mut self, wanted: &Wanted, outcome: Outcome) {
        self.wanted += 1;
        match outcome {
            Outcome::Bytes(bytes) => {
                self.here += 1;
                self.bytes += bytes;
            }
            Outcome::Missing(reason) => {
                self.missing += 1;
                if self.first_missing.len() < LISTED {
                    self.first_missing.push(wanted.missing(reason));
                }
            }
        }
    }

    /// Whether more can only make it worse: enough are known to be missing to tell people of them.
    pub(super) fn is_hopeless(&self, tolerance: Tolerance) -> bool {
        let most = match tolerance {
            Tolerance::Count(count) => count,
            Tolerance::Share(_) => return false,
        };
        self.missing > most && self.missing >= LISTED as u64
    }

    /// Writes it into the manifest of the data.
    pub fn tell(self, manifest: &mut Manifest) {
        for rewritten in self.splits {
            if let Some(file) = manifest.splits.get_mut(&rewritten.split) {
                file.bytes = rewritten.bytes;
                file.sha256 = rewritten.sha256;
            }
        }
        manifest.files = self.here;
        manifest.file_bytes = self.bytes;
        manifest.missing_file_count = self.missing;
        manifest.missing_files = self.first_missing;
        manifest.missing_file_list = self.missing_list;
    }

    pub(super) fn judge(&self, tolerance: Tolerance) -> Result<(), FilesError> {
        if self.missing <= tolerance.most(self.wanted) {
            return Ok(());
        }
        let named = self.first_missing.iter().take(NAMED).map(|missing| {
            let name = missing.global_key.as_ref().unwrap_or(&missing.data_row);
            format!("{} of {name} ({})", missing.kind, missing.reason)
        });
        let named: Vec<String> = named.collect();
        let dots = match self.missing > named.len() as u64 {
            true => ", …",
            false => "",
        };
        Err(FilesError::Missing(format!(
            "{} of {} files of the data rows could not be had (max_missing_files: {tolerance}): {}{dots}",
            self.missing,
            self.wanted,
            named.join(", ")
        )))
    }
}
