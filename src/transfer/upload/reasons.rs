//! Why Labelbox could not import a chunk at all, as far as the import's files say.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    Upload,
    failure::Failure,
    memory::Missing,
    on_disk,
    results::{problem, read_uuid},
};
use crate::{
    labelbox::{Import, LineStatus},
    predictions::{Chunk, Origin, Problem, Reasons},
};

impl Upload<'_> {
    /// Why an import failed as a whole, in Labelbox's words; nothing if neither of its files can be had or says so.
    pub(super) async fn reasons(
        &self,
        chunk: &Chunk,
        import: &Import,
    ) -> Result<Vec<Problem>, Failure> {
        let (of, server) = (chunk.clone(), self.dir.server());
        let origins = on_disk(move || of.origins(&server)).await?;
        let files = [
            (Missing::ErrorFile, &import.error_file_url),
            (Missing::StatusFile, &import.status_file_url),
        ];
        let mut missed = None;
        for (file, url) in files {
            let Some(url) = url else { continue };
            let mut failures = Failures::of(&origins);
            let fetched = self.fetch(url, |line| failures.take(line)).await;
            match fetched {
                Err(why) if self.may_be_missing(chunk, file) => missed = Some(why),
                _ if failures.reasons.is_empty() => {}
                _ => return Ok(failures.reasons.sorted()),
            }
        }
        match missed {
            Some(why) => Err(Failure::later(format!(
                "why an import failed cannot be fetched: {why}"
            ))),
            None => Ok(Vec::new()),
        }
    }
}

/// Why an import failed, as far as it was read.
struct Failures {
    by_uuid: HashMap<Uuid, u32>,
    reasons: Reasons,
}

impl Failures {
    fn of(origins: &[Origin]) -> Self {
        let lines = origins.iter();
        Self {
            by_uuid: lines
                .filter_map(|origin| Some((origin.uuid?, origin.line)))
                .collect(),
            reasons: Reasons::default(),
        }
    }

    fn take(&mut self, line: &[u8]) {
        let Some(status) = LineStatus::read_error(line) else {
            return;
        };
        if status.taken || status.reason.is_empty() {
            return;
        }
        let uuid = read_uuid(&status);
        let line = uuid.and_then(|uuid| self.by_uuid.get(&uuid)).copied();
        self.reasons.add(&problem(line, status.reason, uuid));
    }
}
