//! The first pass: each line is read once, checked by itself, and noted for what it must be held against.

use std::{
    io::{self, BufRead},
    path::Path,
};

use uuid::Uuid;

use super::{
    FreezeError,
    lines::{Head, Mark, WrittenLines},
    uuids::derive,
};
use crate::{
    job::JobId,
    predictions::{
        LINE_LIMIT, MOST_LINES, MOST_LISTED, MOST_METRICS, MOST_PER_FEATURE, Problem, Reasons,
        Rejection,
        check::Checked,
        ledger::{Findings, Kind, Ledger},
        lines::Lines,
    },
};

/// All lines, checked one by one, and what is to be counted of them.
#[derive(Debug)]
pub(super) struct Reading {
    checked: WrittenLines,
    ledger: Ledger,
    job: String,
    rejected: u64,
    reasons: Reasons,
}

impl Reading {
    pub(super) fn begin(folder: &Path, job: JobId) -> io::Result<Self> {
        Ok(Self {
            checked: WrittenLines::create(folder)?,
            ledger: Ledger::create(folder)?,
            job: job.to_string(),
            rejected: 0,
            reasons: Reasons::default(),
        })
    }

    pub(super) fn read_all(
        &mut self,
        source: impl BufRead,
        first: u32,
        mut check: impl FnMut(&[u8], &mut Vec<u8>) -> Result<Checked, Rejection>,
    ) -> Result<(), FreezeError> {
        let mut lines = Lines::of(source);
        let mut out = Vec::new();
        while let Some(line) = lines.next()? {
            let number = u32::try_from(line.number).ok();
            let number = number.filter(|number| *number <= MOST_LINES);
            let number = first | number.ok_or(FreezeError::TooMany)?;
            out.clear();
            let checked = match line.too_long {
                false => check(line.text, &mut out),
                true => Err(Rejection::new(format!("longer than {LINE_LIMIT} bytes"))),
            };
            match checked {
                Ok(checked) => self.take(number, checked, &out)?,
                Err(rejection) => self.reject(number, &rejection, line.text)?,
            }
        }
        Ok(())
    }

    fn take(&mut self, number: u32, checked: Checked, text: &[u8]) -> io::Result<()> {
        let row = u128::from(checked.row) << 32;
        let (kind, group) = match checked.feature {
            Some(feature) => (Kind::Feature, row | u128::from(feature)),
            None => (Kind::Metrics, row),
        };
        self.ledger.note(number, kind, group)?;
        let (mark, uuid) = match (checked.uuid, checked.feature) {
            (Some(uuid), _) => {
                self.ledger.note(number, Kind::Uuid, uuid.as_u128())?;
                (Mark::OwnUuid, uuid)
            }
            (None, Some(_)) => {
                let uuid = derive(&self.job, text, 0);
                self.ledger.note(number, Kind::Content, uuid.as_u128())?;
                (Mark::NoUuid, uuid)
            }
            (None, None) => (Mark::Metric, Uuid::nil()),
        };
        self.checked.add(Head { mark, number, uuid }, text)
    }

    fn reject(&mut self, number: u32, rejection: &Rejection, text: &[u8]) -> io::Result<()> {
        self.rejected += 1;
        let mut problem = Problem::ours(number, rejection.to_string(), text);
        self.reasons.add(&problem);
        if self.rejected > MOST_LISTED {
            // It is counted; what nobody will read takes no room.
            problem = Problem::ours(number, String::new(), b"");
        }
        let problem = serde_json::to_vec(&problem).map_err(io::Error::other)?;
        let head = Head {
            mark: Mark::Rejected,
            number,
            uuid: Uuid::nil(),
        };
        self.checked.add(head, &problem)
    }

    /// What the second pass needs.
    pub(super) fn finish(self) -> io::Result<(WrittenLines, Findings, Reasons)> {
        let findings = self.ledger.count(|kind, before| match kind {
            Kind::Uuid | Kind::Content => true,
            Kind::Feature => before >= MOST_PER_FEATURE,
            Kind::Metrics => before >= MOST_METRICS,
        })?;
        Ok((self.checked, findings, self.reasons))
    }
}
