//! The forms of data that the model's training reads, written of what was exported.

use std::sync::Arc;

use super::{Export, failure::Failure};
use crate::{
    dataset::Ontology,
    formats::{self, FormatError, Notes},
    transfer::steps::StopOnDrop,
};

/// Where people read what goes on.
const PART: &str = "formats";

impl Export<'_> {
    /// Writes the model's formats; answers what they could not say.
    pub(super) async fn formats(&self, ontology: Option<&Ontology>) -> Result<Notes, Failure> {
        let wanted = self.job.entry.formats.clone();
        if wanted.is_empty() {
            return Ok(Notes::default());
        }
        self.note(PART, "writing the formats".to_owned());
        let stop = StopOnDrop(Arc::default());
        let (stopped, dir) = (Arc::clone(&stop.0), self.dir.clone());
        let ontology = ontology.cloned().unwrap_or_default();
        let work = move || {
            formats::write(&formats::Write {
                formats: &wanted,
                data: &dir.data(),
                ontology: &ontology,
                index: &dir.formats_index(),
                stopped: &stopped,
            })
        };
        let written = tokio::task::spawn_blocking(work).await;
        self.note(PART, None);
        match written {
            Ok(Ok(written)) => Ok(written.notes),
            Ok(Err(FormatError::Io { source, .. })) => Err(Failure::disk(&source)),
            Ok(Err(error)) => Err(Failure::export(error.to_string())),
            Err(error) => Err(Failure::disk(&std::io::Error::other(error))),
        }
    }
}
