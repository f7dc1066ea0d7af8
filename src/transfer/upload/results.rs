//! What Labelbox says became of each line of an import.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Upload, failure::Failure, memory::Missing, on_disk};
use crate::{
    downloads::{Author, DownloadError, Source},
    labelbox::{Import, LineStatus},
    predictions::{By, Chunk, Origin, Problem},
};

/// The longest result that is read, in bytes: many times that of the longest chunk.
const RESULT_LIMIT: u64 = 1 << 30;

/// The longest line of a result that is read, in bytes.
const LINE_LIMIT: usize = 1 << 20;

/// Labelbox is asked so often for an address that leads to a file.
const ADDRESSES: u32 = 5;

impl Upload<'_> {
    /// What was not taken of a chunk whose import is finished.
    pub(super) async fn results(
        &self,
        chunk: &Chunk,
        import: &Import,
    ) -> Result<Vec<Problem>, Failure> {
        let (of, server) = (chunk.clone(), self.dir.server());
        let origins = on_disk(move || of.origins(&server)).await?;
        let mut results = Results::of(&origins);
        let Some(url) = &import.status_file_url else {
            return Err(self.no_results(chunk, "it names no file of results"));
        };
        match self.fetch(url, |line| results.take(line)).await {
            Ok(()) if results.is_silent() => {
                Err(self.no_results(chunk, "no line of it is a result"))
            }
            Ok(()) => {
                let memory = &self.transfer.uploads.memory;
                memory.find(self.job.id, chunk.number, Missing::StatusFile);
                Ok(results.problems(&origins))
            }
            Err(DownloadError::Transient(why)) => Err(Failure::later(format!(
                "the results of an import cannot be fetched: {why}"
            ))),
            Err(DownloadError::Refused(why)) => Err(self.no_results(chunk, &why)),
        }
    }

    /// An address holds for a while, and its file for a day: a new address is asked for, and if none leads to the file,
    /// nobody knows what was taken.
    fn no_results(&self, chunk: &Chunk, why: &str) -> Failure {
        let text = format!("the results of an import cannot be read: {why}");
        match self.may_be_missing(chunk, Missing::StatusFile) {
            true => Failure::later(text),
            false => Failure::Final(format!(
                "trained, but nobody knows which of its predictions Labelbox took: {text}"
            )),
        }
    }

    /// Counts that an address did not lead to a file; false once that was so often enough.
    pub(super) fn may_be_missing(&self, chunk: &Chunk, file: Missing) -> bool {
        let memory = &self.transfer.uploads.memory;
        memory.miss(self.job.id, chunk.number, file) < ADDRESSES
    }

    /// Fetches a file of Labelbox's, line by line.
    pub(super) async fn fetch(
        &self,
        url: &str,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), DownloadError> {
        let files = self.transfer.files()?;
        let source = Source {
            url,
            author: Author::Labelbox,
            bearer: None,
            from: 0,
            most: RESULT_LIMIT,
        };
        let mut download = files.downloads().open(source).await?;
        let mut rest = Vec::new();
        while let Some(bytes) = download.next().await? {
            rest.extend_from_slice(&bytes);
            let whole = rest
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            for line in rest[..whole].split(|byte| *byte == b'\n') {
                take(line);
            }
            rest.drain(..whole);
            if rest.len() > LINE_LIMIT {
                return Err(DownloadError::Refused("a line of it has no end".to_owned()));
            }
        }
        take(&rest);
        Ok(())
    }
}

/// What was read so far, by the lines of the chunk.
struct Results {
    /// So many lines say something.
    read: u64,
    /// Whether there is a line that says nothing.
    unread: bool,
    by_uuid: HashMap<Uuid, usize>,
    /// For each line, whether it was taken, or why not.
    lines: Vec<Option<Result<(), String>>>,
    /// Of lines that have no uuid.
    others: Vec<String>,
    /// So many lines have none.
    most_others: usize,
}

impl Results {
    fn of(origins: &[Origin]) -> Self {
        let uuids = origins.iter().enumerate();
        let by_uuid: HashMap<Uuid, usize> = uuids
            .filter_map(|(at, origin)| Some((origin.uuid?, at)))
            .collect();
        Self {
            read: 0,
            unread: false,
            most_others: origins.len() - by_uuid.len(),
            by_uuid,
            lines: vec![None; origins.len()],
            others: Vec::new(),
        }
    }

    /// A line that cannot be read says nothing, and so its prediction has no result.
    fn take(&mut self, line: &[u8]) {
        let Ok(status) = LineStatus::read(line) else {
            self.unread |= !line.trim_ascii().is_empty();
            return;
        };
        self.read += 1;
        let uuid = read_uuid(&status);
        let reason = match status.reason.is_empty() {
            true => "refused by Labelbox without a reason".to_owned(),
            false => status.reason,
        };
        match uuid.and_then(|uuid| self.by_uuid.get(&uuid)) {
            Some(at) => {
                let result = if status.taken { Ok(()) } else { Err(reason) };
                if let Some(place) = self.lines.get_mut(*at) {
                    *place = Some(result);
                }
            }
            None if !status.taken && self.others.len() < self.most_others => {
                self.others.push(reason);
            }
            None => {}
        }
    }

    /// Nothing was said where something must be: what came is no file of results, whatever else it may be.
    fn is_silent(&self) -> bool {
        self.read == 0 && (self.unread || !self.by_uuid.is_empty())
    }

    /// What was not taken. A prediction of which nothing is said was not; of metrics nothing may be said.
    fn problems(self, origins: &[Origin]) -> Vec<Problem> {
        let of_line = |(result, origin): (Option<Result<(), String>>, &Origin)| {
            let reason = match result {
                Some(Ok(())) => return None,
                Some(Err(reason)) => reason,
                None if origin.uuid.is_none() => return None,
                None => "Labelbox does not say what became of it".to_owned(),
            };
            Some(problem(Some(origin.line), reason, origin.uuid))
        };
        let lines = self.lines.into_iter().zip(origins).filter_map(of_line);
        let others = self.others.into_iter();
        lines
            .chain(others.map(|reason| problem(None, reason, None)))
            .collect()
    }
}

pub(super) fn read_uuid(status: &LineStatus) -> Option<Uuid> {
    let uuid = status.uuid.as_deref()?;
    Uuid::try_parse(uuid).ok()
}

pub(super) fn problem(line: Option<u32>, reason: String, uuid: Option<Uuid>) -> Problem {
    Problem {
        uuid,
        ..Problem::of(line, By::Labelbox, reason)
    }
}
