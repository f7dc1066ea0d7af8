//! The second pass: what is known of all lines decides about each of them.

use std::{io, path::Path};

use super::{
    lines::{Head, Mark, WrittenLines},
    uuids::{derive, with_uuid},
};
use crate::{
    job::JobId,
    predictions::{
        Frozen, MOST_METRICS, MOST_PER_FEATURE, Origin, Problem, Reasons, RejectedFile,
        chunks::Chunks,
        ledger::{Findings, Kind},
    },
};

/// Lines on their way into chunks, or into the list of those that are not sent.
pub(super) struct Writing {
    job: String,
    findings: Findings,
    chunks: Chunks,
    list: RejectedFile,
    rejected: u64,
    reasons: Reasons,
}

impl Writing {
    /// Into chunks of at most so many lines in `folder`, and the list in the job's `server` folder.
    pub(super) fn begin(
        (server, folder): (&Path, &Path),
        most_lines: u32,
        job: JobId,
        (findings, reasons): (Findings, Reasons),
    ) -> io::Result<Self> {
        Ok(Self {
            job: job.to_string(),
            findings,
            chunks: Chunks::begin(folder, most_lines, 1),
            list: RejectedFile::create(server)?,
            rejected: 0,
            reasons,
        })
    }

    /// Takes all lines on their way.
    pub(super) fn write_all(mut self, lines: WrittenLines) -> io::Result<Frozen> {
        let count = lines.count();
        let (mut lines, mut text) = (lines.read()?, Vec::new());
        while let Some(head) = lines.next(&mut text)? {
            self.line(head, &text)?;
        }
        self.list.finish()?;
        Ok(Frozen {
            lines: u64::from(count),
            taken: 0,
            rejected: self.rejected,
            first: self.reasons.sorted(),
            chunks: self.chunks.finish()?,
        })
    }

    fn line(&mut self, Head { mark, number, uuid }: Head, text: &[u8]) -> io::Result<()> {
        let mut occurrence = 0;
        let mut reason = None;
        for finding in self.findings.of_line(number)? {
            match finding.kind {
                Kind::Content => occurrence = finding.before,
                Kind::Uuid => reason = Some(format!("uuid {uuid} stands in an earlier line")),
                Kind::Feature => {
                    reason = Some(format!(
                        "more than {MOST_PER_FEATURE} predictions of one row with one feature"
                    ));
                }
                Kind::Metrics => {
                    reason = Some(format!("more than {MOST_METRICS} metrics of one row"));
                }
            }
        }
        if mark == Mark::Rejected {
            // Its reason was counted when it was found.
            let problem = serde_json::from_slice(text).map_err(io::Error::other)?;
            return self.reject(&problem);
        }
        if let Some(reason) = reason {
            let problem = Problem::ours(number, reason, text);
            self.reasons.add(&problem);
            return self.reject(&problem);
        }
        let uuid = match (mark, occurrence) {
            (Mark::Metric | Mark::Rejected, _) => None,
            (Mark::NoUuid, 1..) => Some(derive(&self.job, text, occurrence)),
            (Mark::NoUuid | Mark::OwnUuid, _) => Some(uuid),
        };
        let origin = Origin { line: number, uuid };
        match uuid {
            None => self.chunks.add(text, origin),
            Some(uuid) => self.chunks.add(&with_uuid(uuid, text), origin),
        }
    }

    fn reject(&mut self, problem: &Problem) -> io::Result<()> {
        self.rejected += 1;
        self.list.add(problem)
    }
}
